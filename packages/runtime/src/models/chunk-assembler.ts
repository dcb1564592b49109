import { chunkLength } from '../storage/file-journal.ts'

/** Which chunks of a file of so many bytes. */
interface Wanted {
  readonly file: { readonly bytes: number }
  readonly chunkBytes: number
  /** Ascending. */
  readonly indices: readonly number[]
}

/** Puts chunks together from pieces of a file that come in order. Keeps a half chunk over a broken connection. */
export class ChunkAssembler {
  readonly #size: { readonly bytes: number; readonly chunkBytes: number }
  readonly #indices: readonly number[]
  /** Of `#indices`: the chunk that is being filled. */
  #at = 0
  #filled = 0
  #chunk: Uint8Array<ArrayBuffer> | undefined

  constructor({ file, chunkBytes, indices }: Wanted) {
    this.#size = { bytes: file.bytes, chunkBytes }
    this.#indices = indices
  }

  get isDone(): boolean {
    return this.#at >= this.#indices.length
  }

  /** Where in the file the next wanted byte is. */
  get position(): number {
    return (this.#indices[this.#at] ?? 0) * this.#size.chunkBytes + this.#filled
  }

  /** Where in the file the chunk that is being filled ends. */
  get chunkEnd(): number {
    const index = this.#indices[this.#at] ?? 0
    return index * this.#size.chunkBytes + chunkLength(this.#size, index)
  }

  /** Takes what it wants of bytes that begin at `from` in the file, and gives the chunks that became full. */
  *take(
    from: number,
    piece: Uint8Array,
    onBytes: (bytes: number) => void,
  ): Generator<Uint8Array<ArrayBuffer>> {
    const end = from + piece.byteLength
    while (!this.isDone && this.position >= from && this.position < end) {
      const index = this.#indices[this.#at] ?? 0
      this.#chunk ??= new Uint8Array(chunkLength(this.#size, index))
      const wanted = piece.subarray(
        this.position - from,
        this.position - from + this.#chunk.byteLength - this.#filled,
      )
      this.#chunk.set(wanted, this.#filled)
      this.#filled += wanted.byteLength
      onBytes(wanted.byteLength)
      if (this.#filled < this.#chunk.byteLength) return
      const full = this.#chunk
      this.#chunk = undefined
      this.#filled = 0
      this.#at++
      yield full
    }
  }
}

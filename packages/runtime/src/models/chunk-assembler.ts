/** A stretch of a file. */
export interface FileRange {
  readonly from: number
  readonly numBytes: number
  /** Where its bytes are put; a buffer of its own where it is absent. */
  readonly into?: Uint8Array<ArrayBuffer>
}

/** Fills ranges of a file, ascending, from pieces that come in order. Keeps a half range over a broken connection. */
export class ChunkAssembler {
  readonly #ranges: readonly FileRange[]
  /** Of `#ranges`: the one that is being filled. */
  #at = 0
  #filled = 0
  #bytes: Uint8Array<ArrayBuffer> | undefined

  constructor(ranges: readonly FileRange[]) {
    this.#ranges = ranges
  }

  get isDone(): boolean {
    return this.#at >= this.#ranges.length
  }

  /** Where in the file the next wanted byte is. */
  get position(): number {
    return (this.#ranges[this.#at]?.from ?? 0) + this.#filled
  }

  /** Where in the file the range that is being filled ends. */
  get rangeEnd(): number {
    const range = this.#ranges[this.#at]
    return range === undefined ? 0 : range.from + range.numBytes
  }

  /** Takes what it wants of bytes that begin at `from` in the file, and gives the ranges that became full. */
  *take(
    from: number,
    piece: Uint8Array,
    onBytes: (bytes: number) => void,
  ): Generator<Uint8Array<ArrayBuffer>> {
    const end = from + piece.byteLength
    while (!this.isDone && this.position >= from && this.position < end) {
      const range = this.#ranges[this.#at]
      const bytes = (this.#bytes ??= range?.into ?? new Uint8Array(range?.numBytes ?? 0))
      const wanted = piece.subarray(
        this.position - from,
        this.position - from + bytes.byteLength - this.#filled,
      )
      bytes.set(wanted, this.#filled)
      this.#filled += wanted.byteLength
      onBytes(wanted.byteLength)
      if (this.#filled < bytes.byteLength) return
      this.#bytes = undefined
      this.#filled = 0
      this.#at++
      yield bytes
    }
  }
}

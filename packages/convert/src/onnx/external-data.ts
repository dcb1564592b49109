/** Where a tensor lies in the external data file, in bytes. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

interface Piece extends Extent {
  readonly produce: () => Iterable<Uint8Array>
}

/**
 * The one file that holds the large tensors, in the order they were added, each on a 64-byte boundary (a cache line, and any SIMD width).
 * Where everything lies is known before a byte is made: pieces are produced when they are written, one after the other.
 */
export class ExternalData {
  readonly #pieces: Piece[] = []
  #bytes = 0

  /** `produce` is called once, after those of earlier pieces have ended, and gives `length` bytes. */
  append(length: number, produce: () => Iterable<Uint8Array>): Extent {
    const offset = Math.ceil(this.#bytes / ALIGNMENT) * ALIGNMENT
    this.#pieces.push({ offset, length, produce })
    this.#bytes = offset + length
    return { offset, length }
  }

  get bytes(): number {
    return this.#bytes
  }

  *chunks(): Generator<Uint8Array> {
    let written = 0
    for (const { offset, length, produce } of this.#pieces) {
      if (offset > written) yield new Uint8Array(offset - written)
      written = offset
      for (const chunk of produce()) {
        written += chunk.byteLength
        yield chunk
      }
      if (written !== offset + length)
        throw new Error(`${written - offset} bytes came where ${length} were announced`)
    }
  }
}

const ALIGNMENT = 64

/** Where a tensor lies in the external data file, in bytes. */
export interface Extent {
  readonly offset: number
  readonly length: number
}

/** The one file that holds the large tensors, in the order they were added, each on a 64-byte boundary (a cache line, and any SIMD width). */
export class ExternalData {
  readonly #chunks: Uint8Array[] = []
  #bytes = 0

  append(data: Uint8Array): Extent {
    const padding = (ALIGNMENT - (this.#bytes % ALIGNMENT)) % ALIGNMENT
    if (padding > 0) this.#chunks.push(new Uint8Array(padding))
    const extent = { offset: this.#bytes + padding, length: data.byteLength }
    this.#chunks.push(data)
    this.#bytes = extent.offset + extent.length
    return extent
  }

  get bytes(): number {
    return this.#bytes
  }

  chunks(): readonly Uint8Array[] {
    return this.#chunks
  }
}

const ALIGNMENT = 64

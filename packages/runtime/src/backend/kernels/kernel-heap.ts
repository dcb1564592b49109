import type { Address } from '@tabserve/kernels'

const PAGE_BYTES = 65536
/** A cache line, and any vector. */
const ALIGNMENT = 64

/** The kernels' memory, handed out from the bottom up and never given back: a model lives in one, and goes with it. */
export class KernelHeap {
  readonly memory: WebAssembly.Memory
  /** The first page stays the module's own. */
  #next = PAGE_BYTES

  /** @param maxBytes beyond which it never grows; shared memory must know it in advance. */
  constructor(maxBytes: number, shared: boolean) {
    const maximum = Math.min(65536, Math.ceil(maxBytes / PAGE_BYTES) + 1)
    this.memory = new WebAssembly.Memory({ initial: 1, maximum, shared })
  }

  /** Bytes handed out. */
  get bytes(): number {
    return this.#next
  }

  /** Zeroed. Throws `RangeError` when the machine has no more. */
  allocate(bytes: number): Address {
    const address = Math.ceil(this.#next / ALIGNMENT) * ALIGNMENT
    this.reserve(address + bytes)
    this.#next = address + bytes
    return address
  }

  /** Makes the memory reach up to `end`. */
  reserve(end: number): void {
    const missing = end - this.memory.buffer.byteLength
    if (missing > 0) this.memory.grow(Math.ceil(missing / PAGE_BYTES))
  }

  /** Views are taken anew each time: the memory may have grown. */
  floats(address: Address, count: number): Float32Array<ArrayBufferLike> {
    return new Float32Array(this.memory.buffer, address, count)
  }

  ints(address: Address, count: number): Int32Array<ArrayBufferLike> {
    return new Int32Array(this.memory.buffer, address, count)
  }

  bytesAt(address: Address, count: number): Uint8Array<ArrayBufferLike> {
    return new Uint8Array(this.memory.buffer, address, count)
  }
}

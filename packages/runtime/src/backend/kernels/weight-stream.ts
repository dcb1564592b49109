import type { Address } from '@tabserve/kernels'
import type { KernelHeap } from './kernel-heap.ts'

/** Where a tensor of a file goes. */
export interface WeightSink {
  /** Bytes into the file. */
  readonly offset: number
  /** Units are what cannot be cut: elements or blocks. */
  readonly unitBytes: number
  readonly units: number
  /** Takes `count` units from unit `first` on, which lie at `from`. */
  take(from: Address, first: number, count: number): void
}

const STAGING_BYTES = 2 ** 20

/** Passes a file's bytes on to its sinks as they come, through a small place in the heap: nothing holds the file whole. */
export class WeightStream {
  readonly #heap: KernelHeap
  readonly #staging: Address
  /** By offset; a sink before `#current` has had its bytes. */
  readonly #sinks: readonly WeightSink[]
  #current = 0
  /** Bytes of the current sink that lie in the staging place and are not a whole unit yet. */
  #held = 0
  #position = 0

  constructor(heap: KernelHeap, sinks: readonly WeightSink[]) {
    this.#heap = heap
    this.#staging = heap.allocate(STAGING_BYTES)
    this.#sinks = sinks.toSorted((left, right) => left.offset - right.offset)
  }

  /** The next bytes of the file. */
  write(chunk: Uint8Array): void {
    const end = this.#position + chunk.byteLength
    for (let sink = this.#sinks[this.#current]; sink !== undefined; sink = this.#sinks[this.#current]) {
      const sinkEnd = sink.offset + sink.unitBytes * sink.units
      const from = Math.max(this.#position, sink.offset)
      const to = Math.min(end, sinkEnd)
      if (from < to) this.#pass(sink, from, chunk.subarray(from - this.#position, to - this.#position))
      if (end < sinkEnd) break
      this.#current++
    }
    this.#position = end
  }

  /** Whether every sink has had all its bytes. */
  get isComplete(): boolean {
    return this.#current === this.#sinks.length
  }

  #pass(sink: WeightSink, at: number, bytes: Uint8Array): void {
    for (let from = 0; from < bytes.byteLength;) {
      const count = Math.min(bytes.byteLength - from, STAGING_BYTES - this.#held)
      this.#heap.bytesAt(this.#staging + this.#held, count).set(bytes.subarray(from, from + count))
      const first = Math.floor((at + from - this.#held - sink.offset) / sink.unitBytes)
      const available = this.#held + count
      const units = Math.floor(available / sink.unitBytes)
      if (units > 0) sink.take(this.#staging, first, units)
      const used = units * sink.unitBytes
      this.#held = available - used
      if (used > 0) this.#heap.bytesAt(this.#staging, available).copyWithin(0, used, available)
      from += count
    }
  }
}

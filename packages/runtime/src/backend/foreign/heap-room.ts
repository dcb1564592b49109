import { allocate } from '../heap-session.ts'
import type { OrtModule } from '../ort-module.ts'

/** A piece of the wasm heap that grows to what is asked for, and is used anew in each step. */
export class HeapRoom {
  readonly #module: OrtModule
  #pointer = 0
  #bytes = 0

  constructor(module: OrtModule) {
    this.#module = module
  }

  /** Where `bytes` bytes are. What was there before is lost when it grows. Throws when the heap cannot grow. */
  reserve(bytes: number): number {
    if (bytes > this.#bytes) {
      const larger = allocate(this.#module, bytes)
      this.dispose()
      this.#pointer = larger
      this.#bytes = bytes
    }
    return this.#pointer
  }

  dispose(): void {
    this.#module._free(this.#pointer)
    this.#pointer = 0
    this.#bytes = 0
  }
}

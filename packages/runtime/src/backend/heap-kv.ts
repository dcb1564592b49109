import type { KvCopy } from '@tabserve/engine'
import type { Batch } from './decoder-io.ts'
import type { TensorHandle } from './heap-session.ts'
import { ELEMENT, allocate, heapTensor } from './heap-session.ts'
import type { KvElements, KvHeads, KvShape } from './kv-layout.ts'
import { KV_BYTES, capacityFor, copyRows, kvShapeOf, moveRows, rowSizeOf } from './kv-layout.ts'
import type { OrtModule } from './ort-module.ts'
import { readRow, rowKvLayout, writeRow } from './row-bytes.ts'
import type { RowRoom } from './runner-options.ts'

/** The caches of a graph: their names in and out, in one order, and what they are made of. */
export interface HeapCaches extends KvHeads {
  readonly past: readonly string[]
  readonly present: readonly string[]
  readonly dtype: keyof typeof KV_BYTES
}

/** K and V of every layer, one cache each, and the tensors over their rows. */
export class HeapKv {
  readonly #module: OrtModule
  readonly #caches: HeapCaches
  readonly #room: RowRoom
  #shape: KvShape
  #pointers: readonly number[]
  /** Both `past_key_values.0.key` and `present.0.key` lead to the same memory. */
  readonly #memory = new Map<string, number>()
  readonly #tensors = new Map<string, TensorHandle>()

  constructor(module: OrtModule, caches: HeapCaches, room: RowRoom) {
    this.#module = module
    this.#caches = caches
    this.#room = room
    this.#shape = kvShapeOf(caches, room.rows, capacityFor(1, room.contextLength))
    this.#pointers = this.#allocate(this.#shape)
    this.#point()
  }

  get bytes(): number {
    return this.#pointers.length * this.#bytesOf(this.#shape)
  }

  get layout(): string {
    return rowKvLayout(this.#pointers.length, this.#shape, this.#caches.dtype)
  }

  read(row: number, numTokens: number): Uint8Array<ArrayBuffer> {
    return readRow(this.#all(), this.#shape, row, numTokens)
  }

  /** Throws where the heap cannot grow, or the bytes are not of so many positions. */
  write(row: number, numTokens: number, bytes: Uint8Array): void {
    this.reserve(numTokens)
    writeRow(this.#all(), this.#shape, row, numTokens, bytes)
  }

  /** Makes room for `length` positions a row. Throws when the heap cannot grow; what there was is then as it was. */
  reserve(length: number): void {
    const { rows, contextLength } = this.#room
    if (length <= this.#shape.capacity) return
    const larger = kvShapeOf(this.#caches, rows, capacityFor(length, contextLength))
    const pointers = this.#allocate(larger)
    this.#pointers.forEach((pointer, index) => {
      const target = this.#elements(pointers[index] ?? 0, larger)
      moveRows(this.#elements(pointer, this.#shape), this.#shape, target, larger.capacity)
    })
    this.dispose()
    this.#shape = larger
    this.#pointers = pointers
    this.#point()
  }

  copy(copies: readonly KvCopy[]): void {
    for (const pointer of this.#pointers) copyRows(this.#elements(pointer, this.#shape), this.#shape, copies)
  }

  /** The tensor [numRows, kvHeads, capacity, headDim] that begins at a batch's first row; made once, kept. */
  tensor(name: string, { firstRow, numRows }: Pick<Batch, 'firstRow' | 'numRows'>): TensorHandle {
    const memory = this.#memory.get(name)
    if (memory === undefined) throw new Error(`the graph has an input or output that we do not know: ${name}`)
    const rowBytes = KV_BYTES[this.#caches.dtype] * rowSizeOf(this.#shape)
    const pointer = memory + firstRow * rowBytes
    const key = `${pointer}×${numRows}`
    const known = this.#tensors.get(key)
    if (known !== undefined) return known
    const { heads, capacity, size } = this.#shape
    const dims = [numRows, heads, capacity, size]
    const tensor = heapTensor(this.#module, ELEMENT[this.#caches.dtype], pointer, numRows * rowBytes, dims)
    this.#tensors.set(key, tensor)
    return tensor
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) this.#module._OrtReleaseTensor(tensor)
    this.#tensors.clear()
    for (const pointer of this.#pointers) this.#module._free(pointer)
  }

  #allocate(shape: KvShape): readonly number[] {
    const pointers: number[] = []
    try {
      for (const _ of this.#caches.past) {
        const pointer = allocate(this.#module, this.#bytesOf(shape))
        pointers.push(pointer)
        // Positions behind a row's length are never read as values, but 0 × NaN would be NaN.
        this.#elements(pointer, shape).fill(0)
      }
      return pointers
    } catch (error) {
      for (const pointer of pointers) this.#module._free(pointer)
      throw error
    }
  }

  #point(): void {
    const { past, present } = this.#caches
    this.#pointers.forEach((pointer, index) => {
      this.#memory.set(past[index] ?? '', pointer)
      this.#memory.set(present[index] ?? '', pointer)
    })
  }

  /** Taken anew each time: the heap may have grown. */
  #elements(pointer: number, shape: KvShape): KvElements {
    const { buffer } = this.#module.HEAPU8
    const length = shape.rows * rowSizeOf(shape)
    const { dtype } = this.#caches
    return dtype === 'float32'
      ? new Float32Array(buffer, pointer, length)
      : new Uint16Array(buffer, pointer, length)
  }

  #all(): readonly KvElements[] {
    return this.#pointers.map((pointer) => this.#elements(pointer, this.#shape))
  }

  #bytesOf(shape: KvShape): number {
    return KV_BYTES[this.#caches.dtype] * shape.rows * rowSizeOf(shape)
  }
}

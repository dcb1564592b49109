import type { Address, KernelExports, MatrixKind } from '@tabserve/kernels'
import { MATRIX_KIND } from '@tabserve/kernels'
import type { TensorEntry } from '@tabserve/protocol'
import type { KernelHeap } from './kernel-heap.ts'
import type { WeightSink } from './weight-stream.ts'

/**
 * 4-bit scales are kept as fp16 times this: a power of two, so nothing is lost by it, and scales of usual weights, 1e-4 to 1e-1, stay clear of
 * fp16's subnormals.
 */
const UINT4_SCALE_FACTOR = 2 ** -8

/** Places a model's tensors in the heap, and says how each gets there from the file. */
export class KernelWeights {
  readonly #kernels: KernelExports
  readonly #heap: KernelHeap
  readonly #tensors: ReadonlyMap<string, TensorEntry>
  readonly #sinks: WeightSink[] = []
  /** Addresses of what was placed, by name. */
  readonly #placed = new Map<string, Address>()

  constructor(kernels: KernelExports, heap: KernelHeap, tensors: readonly TensorEntry[]) {
    this.#kernels = kernels
    this.#heap = heap
    this.#tensors = new Map(tensors.map((tensor) => [tensor.name, tensor]))
  }

  get sinks(): readonly WeightSink[] {
    return this.#sinks
  }

  has(name: string): boolean {
    return this.#tensors.has(name)
  }

  /** A vector or table of fp32; 0 where the model has none. @param count of its first floats, where not all are wanted. */
  floats(name: string, count?: number): Address {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) return 0
    return this.#once(name, () => {
      const units = count ?? sizeOf(tensor.shape)
      const address = this.#heap.allocate(4 * units + 16)
      this.#sink(tensor, 4, units, (from, first, taken) => this.#copy(from, address + 4 * first, 4 * taken))
      return address
    })
  }

  /** The record of `{name}.weight`, with `{name}.scales` and `{name}.bias` where there are such. */
  matrix(name: string): Address {
    return this.#once(`${name} matrix`, () => this.#placeMatrix(name))
  }

  #placeMatrix(name: string): Address {
    const kernels = this.#kernels
    const weight = this.#tensor(`${name}.weight`)
    const kind = MATRIX_KIND[weight.dtype]
    const [rows, columns, parts] = shapeOf(weight)
    const record = this.#heap.allocate(kernels.MATRIX_BYTES.value as number)
    const bias = this.floats(`${name}.bias`)
    const factor = kind === MATRIX_KIND.uint4 ? UINT4_SCALE_FACTOR : 1
    const set = (values: Address, scales: Address) =>
      kernels.setMatrix(record, kind, rows, columns, values, scales, 0, factor, bias)
    set(0, 0)
    const isQuantized = kind === MATRIX_KIND.int8 || kind === MATRIX_KIND.uint4
    const scales = isQuantized ? this.#heap.allocate(kernels.scalesBytes(record)) : 0
    set(this.#heap.allocate(kernels.valuesBytes(record)), scales)
    this.#values(record, weight, parts)
    if (isQuantized) this.#scales(record, kind, this.#tensor(`${name}.scales`), scales)
    return record
  }

  #values(record: Address, weight: TensorEntry, parts: number): void {
    const kernels = this.#kernels
    const size = sizeOf(weight.shape)
    const each = (bytes: number, pack: typeof kernels.packInt8) =>
      this.#sink(weight, bytes, size, (from, first, count) => pack(record, from, first, count, parts))
    if (weight.dtype === 'float32') each(4, kernels.packFloat32)
    else if (weight.dtype === 'float16') each(2, kernels.packFloat16)
    else if (weight.dtype === 'int8') each(1, kernels.packInt8)
    else
      this.#sink(weight, 16, size / 32, (from, first, count) => kernels.packUint4(record, from, first, count))
  }

  #scales(record: Address, kind: MatrixKind, scales: TensorEntry, address: Address): void {
    const units = sizeOf(scales.shape)
    this.#sink(scales, 4, units, (from, first, count) => {
      if (kind === MATRIX_KIND.uint4) this.#kernels.packUint4Scales(record, from, first, count)
      else this.#copy(from, address + 4 * first, 4 * count)
    })
  }

  #sink({ offset }: TensorEntry, unitBytes: number, units: number, take: WeightSink['take']): void {
    this.#sinks.push({ offset, unitBytes, units, take })
  }

  #copy(from: Address, to: Address, bytes: number): void {
    this.#heap.bytesAt(to, bytes).set(this.#heap.bytesAt(from, bytes))
  }

  #once(name: string, place: () => Address): Address {
    const known = this.#placed.get(name)
    if (known !== undefined) return known
    const address = place()
    this.#placed.set(name, address)
    return address
  }

  #tensor(name: string): TensorEntry {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) throw new Error(`the manifest lists no tensor ${name}`)
    return tensor
  }
}

/** Rows, columns and column parts; 0 parts: row by row. */
function shapeOf({ shape }: TensorEntry): readonly [number, number, number] {
  const [first = 1, second = 1, third] = shape
  return third === undefined ? [first, second, 0] : [first * third, second, first]
}

function sizeOf(shape: readonly number[]): number {
  return shape.reduce((size, dimension) => size * dimension, 1)
}

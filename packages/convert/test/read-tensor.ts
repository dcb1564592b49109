import type { TensorEntry } from '@tabserve/protocol'
import { floatOf } from '../src/quantization/float16.ts'

/** Reads weights of a model folder's data file as its manifest lists them, element by element: slow, and nothing to get wrong. */
export class TensorReader {
  readonly #view: DataView
  readonly #entries: ReadonlyMap<string, TensorEntry>

  constructor(data: Uint8Array, entries: readonly TensorEntry[]) {
    this.#view = new DataView(data.buffer, data.byteOffset, data.byteLength)
    this.#entries = new Map(entries.map((entry) => [entry.name, entry]))
  }

  has(name: string): boolean {
    return this.#entries.has(name)
  }

  /** A vector as it is; a matrix as [outputs, inputs] row by row, whatever its dtype and order, scales applied. */
  read(name: string): Float32Array {
    const entry = this.#entry(name)
    const { dtype, shape } = entry
    if (shape.length === 1) return this.#plain(entry)
    const [outputs, inputs] = matrixShape(entry)
    const scaled = dtype === 'int8' || dtype === 'uint4'
    const scales = scaled ? this.#plain(this.#entry(name.replace(/weight$/, 'scales'))) : undefined
    const perRow = (scales?.length ?? 0) / outputs
    const values = new Float32Array(outputs * inputs)
    for (let row = 0; row < outputs; row++) {
      for (let column = 0; column < inputs; column++) {
        const scale = scales?.[row * perRow + Math.trunc((column * perRow) / inputs)] ?? 1
        values[row * inputs + column] = this.#value(entry, place(entry, row, column)) * scale
      }
    }
    return values
  }

  #entry(name: string): TensorEntry {
    const entry = this.#entries.get(name)
    if (entry === undefined) throw new Error(`the manifest lists no tensor ${name}`)
    return entry
  }

  #plain(entry: TensorEntry): Float32Array {
    const length = entry.shape.reduce((product, size) => product * size, 1)
    return Float32Array.from({ length }, (_, index) => this.#value(entry, index))
  }

  #value({ dtype, offset }: TensorEntry, index: number): number {
    switch (dtype) {
      case 'float32':
        return this.#view.getFloat32(offset + 4 * index, true)
      case 'float16':
        return floatOf(this.#view.getUint16(offset + 2 * index, true))
      case 'int8':
        return this.#view.getInt8(offset + index)
      case 'uint4': {
        const byte = this.#view.getUint8(offset + (index >> 1))
        return (index % 2 === 0 ? byte & 15 : byte >> 4) - 8
      }
    }
  }
}

function matrixShape({ shape }: TensorEntry): [outputs: number, inputs: number] {
  const [first = 0, second = 0, third = 0] = shape
  return shape.length === 2 ? [first, second] : [first * third, second]
}

function place({ shape }: TensorEntry, row: number, column: number): number {
  const [, inputs = 0, width = 0] = shape
  if (shape.length === 2) return row * inputs + column
  return Math.trunc(row / width) * inputs * width + column * width + (row % width)
}

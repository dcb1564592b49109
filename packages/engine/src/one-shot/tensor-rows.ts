import type { NumericArray, TensorValue, Tensors } from '@tabserve/protocol'
import { TENSOR_ARRAYS, elementsOf } from '@tabserve/protocol'
import type { BatchLayout, TensorAxes } from './batch-layout.ts'

/** Items of one kind as one: rows behind each other, shorter ones filled up. */
export function joinItems(items: readonly Tensors[], { inputs }: BatchLayout): Tensors {
  const [first] = items
  if (first === undefined) throw new Error('a batch without items')
  if (items.length === 1) return first
  const joined = Object.entries(first).map(([name, tensor]) => {
    const axes = inputs.get(name)
    if (axes?.row === undefined) return [name, tensor] as const
    return [
      name,
      join(
        items.map((item) => part(item, name)),
        axes,
        axes.row,
      ),
    ] as const
  })
  return Object.fromEntries(joined)
}

/** What one item of a batch is of it. */
export interface Share {
  readonly rows: number
  /** Along the padded dimension. */
  readonly length: number
}

/** Takes a batch's outputs apart again, into arrays of their own. Throws where the graph gave other rows than it was given. */
export function splitItems(outputs: Tensors, shares: readonly Share[], layout: BatchLayout): Tensors[] {
  const [only] = shares
  if (shares.length === 1 && only !== undefined) return [outputs]
  const numRows = shares.reduce((sum, { rows }) => sum + rows, 0)
  const longest = Math.max(...shares.map(({ length }) => length))
  for (const [name, { shape }] of Object.entries(outputs)) {
    const row = layout.outputs.get(name)?.row
    if (row === undefined || shape[row] !== numRows)
      throw new Error(`the output ${name} is [${shape.join(', ')}] where ${numRows} rows were computed`)
  }
  let from = 0
  return shares.map(({ rows, length }) => {
    const parts = Object.entries(outputs).map(([name, tensor]) => {
      const { row = 0, length: axis } = layout.outputs.get(name) ?? NO_AXES
      const shape = tensor.shape.map((size, at) =>
        at === row ? rows : at === axis && size === longest ? length : size,
      )
      const offset = tensor.shape.map((_, at) => (at === row ? from : 0))
      return [name, cut(tensor, shape, offset)] as const
    })
    from += rows
    return Object.fromEntries(parts)
  })
}

const NO_AXES: TensorAxes = { row: undefined, length: undefined, fill: 0 }

function part(item: Tensors, name: string): TensorValue {
  const tensor = item[name]
  if (tensor === undefined) throw new Error(`an item of a batch lacks ${name}`)
  return tensor
}

function join(tensors: readonly TensorValue[], { length, fill }: TensorAxes, row: number): TensorValue {
  const [first] = tensors
  if (first === undefined) throw new Error('nothing to join')
  const { datatype } = first
  const most = (axis: number) => Math.max(...tensors.map(({ shape }) => shape[axis] ?? 0))
  const numRows = tensors.reduce((sum, { shape }) => sum + (shape[row] ?? 0), 0)
  const shape = first.shape.map((size, axis) =>
    axis === row ? numRows : axis === length ? most(axis) : size,
  )
  const whole = empty(datatype, elementsOf(shape), fill)
  let from = 0
  for (const tensor of tensors) {
    const offset = shape.map((_, axis) => (axis === row ? from : 0))
    copyBlock(tensor.data, tensor.shape, zeros(shape.length), whole, shape, offset, tensor.shape)
    from += tensor.shape[row] ?? 0
  }
  return { datatype, shape, data: whole }
}

function cut(tensor: TensorValue, shape: readonly number[], offset: readonly number[]): TensorValue {
  const { datatype } = tensor
  const data = empty(datatype, elementsOf(shape), 0)
  copyBlock(tensor.data, tensor.shape, offset, data, shape, zeros(shape.length), shape)
  return { datatype, shape, data }
}

/** A tensor's array, filled. */
export function empty(datatype: TensorValue['datatype'], numElements: number, fill: number): Data {
  if (datatype === 'BYTES') return new Array<string>(numElements).fill('')
  const data = new TENSOR_ARRAYS[datatype](numElements)
  if (fill !== 0) {
    if (data instanceof BigInt64Array || data instanceof BigUint64Array) data.fill(BigInt(fill))
    else data.fill(fill)
  }
  return data
}

type Data = NumericArray | string[]

/** Copies a block of `size` from one row-major tensor into another. */
function copyBlock(
  source: TensorValue['data'],
  sourceShape: readonly number[],
  sourceOffset: readonly number[],
  target: Data,
  targetShape: readonly number[],
  targetOffset: readonly number[],
  size: readonly number[],
): void {
  // What lies side by side in both is copied in one piece.
  let axis = size.length
  let run = 1
  while (axis > 0) {
    axis--
    run *= size[axis] ?? 1
    if (size[axis] !== sourceShape[axis] || size[axis] !== targetShape[axis]) break
  }
  const [sourceStrides, targetStrides] = [stridesOf(sourceShape), stridesOf(targetShape)]
  const at = (offset: readonly number[], strides: readonly number[]) =>
    offset.reduce((sum, value, index) => sum + value * (strides[index] ?? 0), 0)
  const copy = (depth: number, from: number, to: number): void => {
    if (depth === axis) return copyRun(source, from, target, to, run)
    for (let index = 0; index < (size[depth] ?? 0); index++)
      copy(depth + 1, from + index * (sourceStrides[depth] ?? 0), to + index * (targetStrides[depth] ?? 0))
  }
  copy(0, at(sourceOffset, sourceStrides), at(targetOffset, targetStrides))
}

function copyRun(source: TensorValue['data'], from: number, target: Data, to: number, length: number): void {
  if (isTexts(source) || isTexts(target)) {
    for (let index = 0; index < length; index++)
      (target as string[])[to + index] = (source as readonly string[])[from + index] ?? ''
    return
  }
  const piece = source.subarray(from, from + length)
  // Both are of the array of one datatype.
  ;(target as { set(values: NumericArray, offset: number): void }).set(piece, to)
}

function isTexts(data: TensorValue['data']): data is readonly string[] {
  return Array.isArray(data)
}

function stridesOf(shape: readonly number[]): number[] {
  const strides = new Array<number>(shape.length).fill(1)
  for (let axis = shape.length - 2; axis >= 0; axis--)
    strides[axis] = (strides[axis + 1] ?? 1) * (shape[axis + 1] ?? 1)
  return strides
}

function zeros(count: number): number[] {
  return new Array<number>(count).fill(0)
}

import type { DecoderForm, NumberInput, Role } from './decoder-form.ts'
import type { ForeignBatch } from './foreign-batch.ts'

/** Whole numbers to feed, as int32 whatever the graph wants. */
export interface NumberFeed {
  readonly name: string
  readonly type: NumberInput['type']
  readonly values: Int32Array
  readonly dims: readonly number[]
}

/**
 * The numbers of a batch. With a cache of fixed capacity a row's tokens stand at its beginning and the mask says how many there are; with one that
 * grows they end at its end, and what a shorter row lacks is hidden before them.
 */
export function numberFeeds({ form, numbers }: DecoderForm, batch: ForeignBatch): NumberFeed[] {
  const { numRows, width, totalLength, ids, seqlens, froms, past, logitsWidth } = batch
  const columns = form === 'gqa' ? totalLength : past + width
  const make: Readonly<Record<Role, () => readonly [values: Int32Array, dims: readonly number[]]>> = {
    ids: () => [ids, [numRows, width]],
    mask: () => [
      form === 'gqa' ? rightMask(seqlens, columns) : leftMask(froms, past, columns),
      [numRows, columns],
    ],
    positions: () => [positionsOf(froms, width), [numRows, width]],
    seqlens: () => [seqlens, [numRows]],
    total: () => [Int32Array.of(columns), []],
    'logits-kept': () => [Int32Array.of(logitsWidth === width ? 0 : logitsWidth), []],
  }
  return numbers.map(({ name, role, type, rank }) => {
    const [values, dims] = make[role]()
    return { name, type, values, dims: dims.length === 0 && rank === 1 ? [1] : dims }
  })
}

function rightMask(seqlens: Int32Array, columns: number): Int32Array {
  const mask = new Int32Array(seqlens.length * columns)
  for (const [row, last] of seqlens.entries()) mask.fill(1, row * columns, row * columns + last + 1)
  return mask
}

function leftMask(froms: readonly number[], past: number, columns: number): Int32Array {
  const mask = new Int32Array(froms.length * columns)
  for (const [row, from] of froms.entries()) mask.fill(1, row * columns + past - from, (row + 1) * columns)
  return mask
}

function positionsOf(froms: readonly number[], width: number): Int32Array {
  const positions = new Int32Array(froms.length * width)
  for (const [row, from] of froms.entries())
    for (let token = 0; token < width; token++) positions[row * width + token] = from + token
  return positions
}

import { ConvertError } from '../convert-error.ts'
import type { DecoderLayer, DecoderSpec } from './decoder-spec.ts'
import { rearrangeRows, widenColumns } from './matrix.ts'

/** GroupQueryAttention with rotary refuses heads whose size is no multiple of this. */
const HEAD_DIM_STEP = 16

/**
 * The same decoder with heads filled up with zeros to a size that GroupQueryAttention takes. Exact: zeros add nothing to a dot
 * product, the scale stays that of the real size, and the filled-up columns of the output matrix are zero.
 * The price is a KV cache with the same zeros in it, so it only happens to tiny models.
 */
export function padHeads(spec: DecoderSpec): DecoderSpec {
  const from = spec.headDim
  const to = Math.ceil(from / HEAD_DIM_STEP) * HEAD_DIM_STEP
  if (from === to) return spec
  if (spec.layers.some(({ queryNorm, keyNorm }) => queryNorm !== undefined || keyNorm !== undefined))
    throw new ConvertError(
      `heads of ${from} with norms of their own cannot be padded to ${to}: a norm divides by the size of the head`,
    )
  // Rotary turns element i with i + headDim/2: the second half must move to the new second half.
  const rotary = (element: number): number => (element < from / 2 ? element : element - from / 2 + to / 2)
  const plain = (element: number): number => element
  const layers = spec.layers.map((layer): DecoderLayer => ({
    ...layer,
    query: rearrangeRows(layer.query, from, to, rotary),
    key: rearrangeRows(layer.key, from, to, rotary),
    value: rearrangeRows(layer.value, from, to, plain),
    output: widenColumns(layer.output, from, to),
  }))
  return { ...spec, headDim: to, layers }
}

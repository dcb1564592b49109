import type { DecoderGraph, GpuFacts, KvType } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { HalfForm } from '../../onnx/half-graph.ts'

/** How a decoder may compute, the first the most wanted; `undefined`: in floats. What a GPU does not compute right is left for the next. */
export type Forms = readonly [HalfForm | undefined, ...(HalfForm | undefined)[]]

/**
 * Halves wherever the adapter has them and the weights are no more exact than they are: half the bytes to move, and half the KV. `float32` keeps all of it
 * in floats, as onnxruntime's attention has queries, keys and values of one type. Throws `bad_request` where KV is wanted as this GPU cannot keep it.
 */
export function formsOf({ weights }: DecoderGraph, kvType: KvType | undefined, { hasHalf }: GpuFacts): Forms {
  if (kvType === 'int8') throw refusal('kvType int8 needs the kernels; a GPU keeps KV as float16 or float32.')
  if (kvType === 'float16' && !hasHalf)
    throw refusal('kvType float16 needs a GPU whose adapter has shader-f16, and this one has not.')
  if (kvType === 'float32' || !hasHalf) return [undefined]
  const isExact = weights !== 'q4' && weights !== 'fp16'
  if (kvType === 'float16') return isExact ? ['attention'] : ['activations', 'attention']
  return isExact ? [undefined] : ['activations', 'attention', undefined]
}

/** How KV lies in the cache. */
export function kvTypeOf(form: HalfForm | undefined): 'float16' | 'float32' {
  return form === undefined ? 'float32' : 'float16'
}

function refusal(message: string): EngineError {
  return new EngineError('bad_request', `${message} Leave out kvType, or device.`)
}

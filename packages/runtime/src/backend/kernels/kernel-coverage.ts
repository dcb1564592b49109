import type { DecoderGraph, TensorEntry } from '@tabserve/protocol'
import { tensorBytes } from '@tabserve/protocol'
import { chooseKernels } from '@tabserve/kernels'

/** Why the kernels cannot run a decoder, in half a sentence; `undefined`: they can. */
export function kernelsProblem(graph: DecoderGraph): string | undefined {
  const { decoder, headDim, heads, kvHeads, layers } = graph
  if (decoder === undefined) return 'its manifest does not list its tensors'
  if (chooseKernels(1) === undefined) return 'this browser has no WebAssembly SIMD'
  if (headDim % 16 !== 0) return `its heads have ${headDim} elements, no multiple of 16`
  if (heads % kvHeads !== 0) return `its ${heads} heads do not share ${kvHeads} KV heads evenly`
  const tensors = new Map(decoder.tensors.map((tensor) => [tensor.name, tensor]))
  const missing = requiredTensors(layers).find((name) => !tensors.has(name))
  if (missing !== undefined) return `its manifest does not list ${missing}`
  for (let layer = 0; layer < layers; layer++) {
    const [gate, up] = ['gate', 'up'].map((part) =>
      tensors.get(`layers.${layer}.feed_forward.${part}.weight`),
    )
    if (gate?.dtype !== up?.dtype) return `gate and up of layer ${layer} are of different types`
  }
  const problem = decoder.tensors
    .map((tensor) => tensorProblem(tensor, graph))
    .find((found) => found !== undefined)
  return problem ?? overlapProblem(decoder.tensors)
}

function tensorProblem(
  { name, dtype, shape, file }: TensorEntry,
  { externalData }: DecoderGraph,
): string | undefined {
  if (dtype === 'uint4' && (shape.length !== 2 || (shape[1] ?? 0) % 32 !== 0))
    return `${name} has ${shape.join(' × ')} 4-bit weights, which are no rows of blocks of 32`
  return file === externalData
    ? undefined
    : `${name} does not lie in ${externalData}, the one file that is read`
}

/** Every byte goes to one place as the file streams by. */
function overlapProblem(tensors: readonly TensorEntry[]): string | undefined {
  const sorted = tensors.toSorted((left, right) => left.offset - right.offset)
  for (const [index, tensor] of sorted.entries()) {
    const before = sorted[index - 1]
    if (before !== undefined && before.offset + tensorBytes(before) > tensor.offset)
      return `${before.name} and ${tensor.name} lie in the same place`
  }
  return undefined
}

function requiredTensors(layers: number): string[] {
  const ofLayer = [
    'attention_norm',
    'attention.query_key_value',
    'attention.output',
    'feed_forward_norm',
    'feed_forward.gate',
    'feed_forward.up',
    'feed_forward.down',
  ]
  const inLayers = Array.from({ length: layers }, (_, layer) =>
    ofLayer.map((part) => `layers.${layer}.${part}.weight`),
  )
  return ['embedding.weight', 'final_norm.weight', ...inLayers.flat()]
}

import type { DecoderGraph, TensorEntry } from '@tabserve/protocol'
import { tensorBytes } from '@tabserve/protocol'
import { chooseKernels } from '@tabserve/kernels'

/** Why the kernels cannot run a decoder of a manifest that was found good, in half a sentence; `undefined`: they can. */
export function kernelsProblem(graph: DecoderGraph): string | undefined {
  const { decoder, headDim, layers } = graph
  if (decoder === undefined) return 'its manifest does not list its tensors'
  if (chooseKernels(1) === undefined) return 'this browser has no WebAssembly SIMD'
  if (headDim % 16 !== 0) return `its heads have ${headDim} elements, no multiple of 16`
  const tensors = new Map(decoder.tensors.map((tensor) => [tensor.name, tensor]))
  for (let layer = 0; layer < layers; layer++) {
    const [gate, up] = ['gate', 'up'].map((part) =>
      tensors.get(`layers.${layer}.feed_forward.${part}.weight`),
    )
    if (gate?.dtype !== up?.dtype) return `gate and up of layer ${layer} are of different types`
  }
  const elsewhere = decoder.tensors.find(({ file }) => file !== graph.externalData)
  if (elsewhere !== undefined)
    return `${elsewhere.name} does not lie in ${graph.externalData}, the one file that is read`
  return overlapProblem(decoder.tensors)
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

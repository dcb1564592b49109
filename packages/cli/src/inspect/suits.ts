import type { ModelFacts } from '@tabserve/convert'
import { sizeText } from './rows.ts'

/** Positions of the KV cache that a chat of some length takes. */
const USUAL_CONTEXT = 2048
/** Buffers, the worker's own code and what a browser takes besides. */
const OVERHEAD_BYTES = 64 * 1024 ** 2
/** What a page's 32-bit WebAssembly memory reaches. */
const WASM_BYTES = 4 * 1024 ** 3

/** What a model folder runs on, one sentence each. */
export function suits({ manifest, files, kvBytesPerToken }: ModelFacts): string[] {
  const { graph } = manifest
  const weightBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const context = Math.min(USUAL_CONTEXT, graph.contextLength)
  const total = weightBytes + kvBytesPerToken * context + OVERHEAD_BYTES
  const lines = [
    `memory   about ${sizeText(total)} with ${context} positions of context${
      total < WASM_BYTES ? '' : ': more than a page’s WebAssembly reaches'
    }`,
  ]
  if (graph.kind !== 'decoder-gqa')
    return [...lines, 'CPU      on onnxruntime, which is fetched for it (14 MB); not on WebGPU']
  const kernels =
    graph.decoder !== undefined && graph.headDim % 16 === 0
      ? 'on our kernels, without onnxruntime'
      : 'on onnxruntime, which is fetched for it (14 MB)'
  return [...lines, `CPU      ${kernels}`, `WebGPU   ${gpuText(graph.weights)}`]
}

function gpuText(weights: 'fp32' | 'fp16' | 'int8' | 'q4'): string {
  return weights === 'int8'
    ? 'slowly: the products of int8 weights stay on the CPU; take q4'
    : 'where the GPU is measured to be faster'
}

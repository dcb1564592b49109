import type { OnnxGraph, OnnxValue } from '@tabserve/runtime/onnx-graph'
import { rowsText } from './rows.ts'

const MOST_OPS = 12

/** An ONNX file: what goes in, what comes out, and what that says of where it runs. */
export function graphText(path: string, { inputs, outputs, nodes, externalFiles }: OnnxGraph): string {
  const counts = new Map<string, number>()
  for (const { opType } of nodes) counts.set(opType, (counts.get(opType) ?? 0) + 1)
  const ops = [...counts].sort(([, left], [, right]) => right - left)
  const rows = rowsText([
    ['ONNX file', path],
    ['inputs', inputs.map(valueText).join(', ')],
    ['outputs', outputs.map(valueText).join(', ')],
    ['weights', externalFiles.length === 0 ? 'in the file itself' : `in ${externalFiles.join(', ')} too`],
    [
      'nodes',
      ops
        .slice(0, MOST_OPS)
        .map(([op, count]) => `${op} ${count}`)
        .join(', '),
    ],
  ])
  return [rows, '', ...verdict(inputs, new Set(counts.keys()))].join('\n')
}

function valueText({ name, shape }: OnnxValue): string {
  return `${name}[${shape?.join(', ') ?? '?'}]`
}

function verdict(inputs: readonly OnnxValue[], ops: ReadonlySet<string>): string[] {
  const caches = inputs.filter(({ name }) => name.startsWith('past')).length
  if (caches === 0) return ['No KV cache goes in: it is not a decoder that answers token by token.']
  const by = ops.has('GroupQueryAttention') ? ', by GroupQueryAttention' : ''
  const lines = [
    `A decoder with ${caches} caches${by}: it runs on onnxruntime's CPU, in a folder whose manifest.json has graph.kind "decoder-onnx".`,
  ]
  if (ops.has('MatMulNBits')) lines.push('Its products are MatMulNBits: small to download, slow on the CPU.')
  if (ops.has('MatMulInteger') || ops.has('DynamicQuantizeLinear'))
    lines.push('Its products are 8-bit with dynamic scales: the fastest form for onnxruntime on the CPU.')
  lines.push('Converted from its safetensors or GGUF it runs on our kernels, three to five times as fast.')
  return lines
}

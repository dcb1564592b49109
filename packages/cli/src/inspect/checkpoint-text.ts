import type { CheckpointFacts } from '@tabserve/convert'
import { grouped, rowsText, sizeText } from './rows.ts'

/** Bytes that a parameter takes in a model folder: numbers and their scales. */
const BYTES: readonly (readonly [form: string, bytes: number, use: string])[] = [
  ['q4', 0.57, 'the fastest on the CPU, and what WebGPU wants'],
  ['int8', 1.1, 'nearer to the source; fast on the CPU, slow on WebGPU'],
  ['fp16', 2, 'half the download of fp32; computes in fp32'],
]

/** A checkpoint that can be converted: what it is, and what it would become. */
export function checkpointText(
  what: string,
  { architecture, config, parameters, types }: CheckpointFacts,
  command: string,
): string {
  const { layers, hiddenSize, heads, headDim, kvHeads, vocabSize, contextLength } = config
  const kvBytes = 2 * layers * kvHeads * headDim * 4
  const facts = rowsText([
    ['checkpoint', what],
    ['architecture', `${architecture}, which can be converted`],
    ['shape', `${layers} layers, width ${hiddenSize}, ${heads} heads of ${headDim}, ${kvHeads} KV heads`],
    ['vocabulary', grouped(vocabSize)],
    [
      'context',
      `${grouped(contextLength)} tokens, ${sizeText(kvBytes * 1024)} of KV cache for 1,024 of them`,
    ],
    ['parameters', grouped(parameters)],
    ['stored as', types.map(([type, count]) => `${type} ${grouped(count)}`).join(', ')],
  ])
  const forms = BYTES.map(
    ([form, bytes, use]) => `  --weights ${form.padEnd(5)} ${sizeText(parameters * bytes)}: ${use}`,
  )
  return [facts, '', `${command} --out FOLDER, with`, ...forms].join('\n')
}

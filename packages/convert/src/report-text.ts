import type { DecoderTraits, ModelIndex, QuantizationReport } from '@tabserve/protocol'
import type { PerplexityComparison } from './evaluation/against-source.ts'
import type { ModelFacts } from './inspect.ts'
import type { ConvertResult } from './write-model.ts'

/** What the command line says after a conversion. */
export function describeConversion(
  folder: string,
  { manifest, fallbacks, perplexity }: ConvertResult,
): string {
  const bytes = manifest.files.reduce((sum, file) => sum + file.bytes, 0)
  const lines = [
    `${manifest.name}@${manifest.version} → ${folder}: ${grouped(manifest.parameters)} parameters, ${manifest.graph.weights}, ${size(bytes)}, ${grouped(manifest.graph.contextLength)} positions`,
  ]
  const { quantization } = manifest.graph
  if (quantization !== undefined) lines.push(`quantisation error: ${quantizationText(quantization)}`)
  if (fallbacks.length > 0) {
    lines.push(
      `${fallbacks.length} matrices stayed fp32, their inputs are no multiple of 32: ${shortList(fallbacks)}`,
    )
  }
  if (perplexity !== undefined) lines.push(perplexityText(perplexity))
  return lines.join('\n')
}

function perplexityText({ numTokens, converted, source }: PerplexityComparison): string {
  const ratio = (converted / source).toFixed(4)
  return `perplexity over ${grouped(numTokens)} tokens: ${converted.toFixed(3)}, source ${source.toFixed(3)} (× ${ratio})`
}

/** What `convert index` says. */
export function describeIndex(folder: string, { name, versions, versionPolicy }: ModelIndex): string {
  const listed = versions.map(({ version, bytes = 0 }) => `${version} (${size(bytes)})`).join(', ')
  return `${name} → ${folder}/index.json: versions ${listed}; offered: ${JSON.stringify(versionPolicy ?? { latest: { numVersions: 1 } })}`
}

/** What `convert inspect` says. */
export function describeModel(facts: ModelFacts): string {
  const { manifest } = facts
  const { graph, tokenizer } = manifest
  const rows: [string, string][] = [
    ['model', `${manifest.name}@${manifest.version} (${manifest.task})`],
    ['description', manifest.description ?? '–'],
    ['licence', manifest.license ?? '–'],
    ['architecture', `${graph.architecture}, ${graph.kind}`],
    [
      'shape',
      `${graph.layers} layers, width ${graph.hiddenSize}, ${graph.heads} heads of ${graph.headDim}, ${graph.kvHeads} KV heads`,
    ],
    ['vocabulary', grouped(graph.vocabSize)],
    ['context', `${grouped(graph.contextLength)} tokens`],
    ['parameters', grouped(manifest.parameters)],
    ...weightRows(graph),
    [
      'KV cache',
      `${size(facts.kvBytesPerToken)} a token, ${size(facts.kvBytesAtFullContext)} at full context`,
    ],
    [
      'tokenizer',
      `${grouped(facts.numMerges)} merges, bos ${tokenizer.bosTokenId ?? '–'}${tokenizer.addBos ? ' (added)' : ''}, eos ${tokenizer.eosTokenIds.join(', ')}, ${facts.hasChatTemplate ? 'with' : 'no'} chat template`,
    ],
    [
      'opsets',
      facts.opsets.map(({ domain, version }) => `${domain || 'ai.onnx'} ${version}`).join(', ') || '–',
    ],
    ['graph', facts.ops.map(({ opType, count }) => `${opType} ${count}`).join(', ') || 'not readable'],
  ]
  for (const file of facts.files) {
    rows.push([
      rows.some(([title]) => title === 'files') ? '' : 'files',
      `${file.path}  ${size(file.bytes)}  ${file.state}  sha256 ${file.sha256}`,
    ])
  }
  const width = Math.max(...rows.map(([title]) => title.length)) + 2
  return rows.map(([title, value]) => title.padEnd(width) + value).join('\n')
}

/** Of a graph that somebody else exported, the file alone knows. */
function weightRows(graph: ModelFacts['manifest']['graph']): [title: string, value: string][] {
  if (graph.kind !== 'decoder-gqa') return []
  const { weights, decoder, quantization } = graph
  return [
    ['weights', weights],
    ['without onnxruntime', decoderText(decoder)],
    ['quantisation error', quantization === undefined ? '–' : quantizationText(quantization)],
  ]
}

/** Whether a runner can do without the graph, and the traits that are not everywhere. */
function decoderText(decoder: DecoderTraits | undefined): string {
  if (decoder === undefined) return 'no: the manifest does not list the weights'
  const { tensors, activation, windows, attentionSoftcap, logitsSoftcap } = decoder
  const windowed = windows.filter((window) => window > 0)
  return [
    `yes: ${tensors.length} tensors`,
    activation,
    ...(windowed.length > 0 ? [`${windowed.length} layers see ${Math.max(...windowed)} tokens`] : []),
    ...(attentionSoftcap === undefined ? [] : [`attention capped at ${attentionSoftcap}`]),
    ...(logitsSoftcap === undefined ? [] : [`logits capped at ${logitsSoftcap}`]),
  ].join(', ')
}

function quantizationText({ relativeRmse, maxAbsError, worst }: QuantizationReport): string {
  const percent = (ratio: number): string => `${(100 * ratio).toFixed(2)} %`
  return `${percent(relativeRmse)} relative RMS, largest ${maxAbsError.toPrecision(2)}, worst ${worst.tensor} (${percent(worst.relativeRmse)})`
}

function shortList(names: readonly string[]): string {
  return names.length <= 3 ? names.join(', ') : `${names.slice(0, 2).join(', ')}, … ${names.at(-1)}`
}

/** Binary units, as memory has them. */
function size(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`
  if (bytes < 1024 ** 2) return `${(bytes / 1024).toFixed(1)} KiB`
  return `${(bytes / 1024 ** 2).toFixed(1)} MiB`
}

function grouped(count: number): string {
  return count.toLocaleString('en-US')
}

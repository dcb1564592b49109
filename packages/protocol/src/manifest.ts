/**
 * `manifest.json`, the first file of a model folder: what the model is, and every other file with its size and hash.
 * Everything a runtime must know before it touches a weight is here; nothing is guessed from file names.
 */
export interface Manifest {
  readonly format: 'tabserve-model'
  readonly formatVersion: 1
  /** The model's name; requests say `name` or `name@version`. Letters, digits, `.`, `_`, `-`. */
  readonly name: string
  readonly version: string
  readonly task: 'generate'
  readonly description?: string
  /** SPDX identifier. */
  readonly license?: string
  /** Number of weights, tied ones counted once. */
  readonly parameters: number
  readonly graph: DecoderGraph
  readonly tokenizer: TokenizerSpec
  readonly files: readonly ManifestFile[]
}

export interface ManifestFile {
  /** Relative to the manifest, with forward slashes, never upwards. */
  readonly path: string
  readonly bytes: number
  /** SHA-256, lower-case hex. */
  readonly sha256: string
}

/** How the weights lie in the graph: fp32, row-normalised dynamic int8 (wasm), or 4-bit blocks (WebGPU). */
export type WeightForm = 'fp32' | 'int8' | 'q4'

/**
 * A decoder with GroupQueryAttention over a KV cache of fixed capacity.
 *
 * Inputs:  `input_ids` int32 [B, S] · `seqlens_k` int32 [B], valid positions after this step minus one, per row ·
 *          `total_sequence_length` int32 scalar, the largest of them plus one · `logits_index` int32 [N], which rows of
 *          the flattened [B·S] get logits · `past_key_values.{layer}.key|value` float32 [B, kvHeads, capacity, headDim].
 * Outputs: `logits` float32 [N, vocabSize] · `present.{layer}.key|value`, shaped like past and allowed to be the same memory.
 * B > 1 with S > 1 only for first prompts (no valid past).
 */
export interface DecoderGraph {
  readonly kind: 'decoder-gqa'
  readonly architecture: string
  /** The ONNX file, and the external-data file that it refers to by this same name. */
  readonly file: string
  readonly externalData: string
  readonly weights: WeightForm
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly hiddenSize: number
  readonly vocabSize: number
  /** Largest number of positions: the rows of the rotary tables. */
  readonly contextLength: number
  /** What quantisation cost, measured when it was made. Absent for fp32. */
  readonly quantization?: QuantizationReport
}

/** Error of the weights against fp32, over all quantised matrices. */
export interface QuantizationReport {
  /** ‖q − w‖ / ‖w‖ over all weights. */
  readonly relativeRmse: number
  /** Largest |q − w| of any weight. */
  readonly maxAbsError: number
  /** The matrix with the largest relative error, and that error. */
  readonly worst: { readonly tensor: string; readonly relativeRmse: number }
}

export interface TokenizerSpec {
  readonly file: string
  readonly config: string
  readonly bosTokenId?: number
  /** Generation stops at any of these. */
  readonly eosTokenIds: readonly number[]
  /** Whether a prompt begins with `bosTokenId`. */
  readonly addBos: boolean
}

const NAME = /^[\w.-]+$/
const SHA256 = /^[0-9a-f]{64}$/

/**
 * Says what is wrong with a parsed `manifest.json`, in one sentence, or `undefined` if it can be trusted to have its
 * declared shape. Fields that we do not know are allowed: a newer minor tool may have written them.
 */
export function manifestProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return 'it is not a JSON object'
  if (value['format'] !== 'tabserve-model') return '"format" must be "tabserve-model"'
  if (value['formatVersion'] !== 1)
    return `"formatVersion" ${String(value['formatVersion'])} is not one that this build reads (1)`
  for (const key of ['name', 'version'] as const) {
    if (typeof value[key] !== 'string' || !NAME.test(value[key])) return `"${key}" must match ${NAME}`
  }
  if (value['task'] !== 'generate') return `"task" ${JSON.stringify(value['task'])} is not one of: generate`
  if (!isCount(value['parameters'])) return '"parameters" must be a positive whole number'
  return (
    graphProblem(value['graph']) ??
    filesProblem(value['files']) ??
    tokenizerProblem(value['tokenizer']) ??
    missingFile(value as unknown as Manifest)
  )
}

function graphProblem(graph: unknown): string | undefined {
  if (!isRecord(graph)) return '"graph" is missing'
  if (graph['kind'] !== 'decoder-gqa')
    return `"graph.kind" ${JSON.stringify(graph['kind'])} is not one of: decoder-gqa`
  if (!['fp32', 'int8', 'q4'].includes(graph['weights'] as string))
    return '"graph.weights" must be fp32, int8 or q4'
  for (const key of ['architecture', 'file', 'externalData']) {
    if (typeof graph[key] !== 'string' || graph[key] === '') return `"graph.${key}" must be a string`
  }
  for (const key of ['layers', 'heads', 'kvHeads', 'headDim', 'hiddenSize', 'vocabSize', 'contextLength']) {
    if (!isCount(graph[key])) return `"graph.${key}" must be a positive whole number`
  }
  return undefined
}

function filesProblem(files: unknown): string | undefined {
  if (!Array.isArray(files) || files.length === 0) return '"files" must list at least one file'
  const seen = new Set<string>()
  for (const file of files) {
    if (!isRecord(file) || typeof file['path'] !== 'string') return 'every entry of "files" needs a "path"'
    const path = file['path']
    if (!isSafePath(path)) return `the path ${JSON.stringify(path)} leaves the model's folder`
    if (seen.has(path)) return `the file ${path} is listed twice`
    seen.add(path)
    if (!isCount(file['bytes'])) return `"bytes" of ${path} must be a positive whole number`
    if (typeof file['sha256'] !== 'string' || !SHA256.test(file['sha256']))
      return `"sha256" of ${path} must be 64 hex digits`
  }
  return undefined
}

function tokenizerProblem(tokenizer: unknown): string | undefined {
  if (!isRecord(tokenizer)) return '"tokenizer" is missing'
  if (typeof tokenizer['file'] !== 'string' || typeof tokenizer['config'] !== 'string')
    return '"tokenizer" needs "file" and "config"'
  const eos = tokenizer['eosTokenIds']
  if (!Array.isArray(eos) || !eos.every(isTokenId))
    return '"tokenizer.eosTokenIds" must be a list of token ids'
  if (typeof tokenizer['addBos'] !== 'boolean') return '"tokenizer.addBos" must be true or false'
  if (tokenizer['addBos'] && !isTokenId(tokenizer['bosTokenId']))
    return '"tokenizer.bosTokenId" is needed where addBos is true'
  return undefined
}

function missingFile({ files, graph, tokenizer }: Manifest): string | undefined {
  const listed = new Set(files.map((file) => file.path))
  const used = [graph.file, graph.externalData, tokenizer.file, tokenizer.config]
  const missing = used.find((path) => !listed.has(path))
  return missing === undefined ? undefined : `it uses ${missing}, which "files" does not list`
}

function isSafePath(path: string): boolean {
  return (
    path !== '' &&
    !path.includes('\\') &&
    !path.includes(':') &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  )
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) > 0
}

function isTokenId(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0
}

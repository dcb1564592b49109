import type {
  HubDtype,
  HubModel,
  HubOrigin,
  GenerateManifest,
  InferManifest,
  ManifestFile,
  OnnxGraphSpec,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Json } from './decoder-config.ts'
import { decoderFacts, expectedParameters } from './decoder-config.ts'
import type { ChosenWeights, GraphFiles } from './dtype-choice.ts'
import type { TextFiles } from './tokenizer-spec.ts'
import { TOKENIZER, TOKENIZER_CONFIG, contextLimit, tokenizerSpec } from './tokenizer-spec.ts'

export interface ManifestParts {
  /** Of the repository, for messages. */
  readonly address: string
  readonly source: HubOrigin
  readonly weights: ChosenWeights
  readonly texts: TextFiles
  readonly hasChatTemplate: boolean
  readonly files: readonly ManifestFile[]
}

/** The manifest of a repository that has none. Throws `bad_model` for one that is no text decoder. */
export function hubManifest({
  address,
  source,
  weights,
  texts,
  hasChatTemplate,
  files,
}: ManifestParts): GenerateManifest {
  const facts = decoderFacts(texts.config, address, contextLimit(texts.tokenizerConfig))
  return {
    format: 'tabserve-model',
    formatVersion: 1,
    ...identityOf(source, weights.dtype),
    task: 'generate',
    parameters: expectedParameters(texts.config, facts),
    graph: {
      kind: 'decoder-onnx',
      file: weights.graph.path,
      externalData: weights.externalData.map(({ path }) => path),
      ...facts,
    },
    tokenizer: tokenizerSpec(texts, hasChatTemplate, address),
    files,
    source,
  }
}

/** The manifest of a repository whose model is asked once a request. @param handler `undefined`: whoever loads it says one. */
export function inferManifest(
  source: HubOrigin,
  weights: ChosenWeights,
  handler: string | undefined,
  files: readonly ManifestFile[],
): InferManifest {
  const isThere = (wanted: string) => files.some(({ path }) => path === wanted)
  const graphs = Object.entries(weights.graphs).map(([name, files]) => [name, onnxGraph(files)] as const)
  const tokenizer = { file: TOKENIZER, config: TOKENIZER_CONFIG, eosTokenIds: [], addBos: false }
  return {
    format: 'tabserve-model',
    formatVersion: 1,
    ...identityOf(source, weights.dtype),
    task: 'infer',
    graph: onnxGraph(weights),
    ...(graphs.length === 0 ? {} : { graphs: Object.fromEntries(graphs) }),
    ...(handler === undefined ? {} : { handler }),
    ...(isThere(TOKENIZER) && isThere(TOKENIZER_CONFIG) ? { tokenizer } : {}),
    files,
    source,
  }
}

function onnxGraph({ graph, externalData }: GraphFiles): OnnxGraphSpec {
  return { kind: 'onnx', file: graph.path, externalData: externalData.map(({ path }) => path) }
}

/** One commit and one dtype are one version: what is at a version never changes, where there are commits. */
export function identityOf(
  { hub, revision, commit }: Pick<HubOrigin, 'hub' | 'revision' | 'commit'>,
  dtype: HubDtype,
): { readonly name: string; readonly version: string } {
  const version = commit?.slice(0, 12) ?? revision.replaceAll('/', '-')
  return { name: hub.slice(hub.indexOf('/') + 1), version: `${version}-${dtype}` }
}

/** A `manifest.json` of a repository, if it is one of ours; others use the name too. Throws `bad_request` where a dtype was asked for. */
export function ownManifest(
  bytes: Uint8Array | undefined,
  model: HubModel,
  address: string,
): Json | undefined {
  if (bytes === undefined) return undefined
  const value = jsonOf(bytes)
  if (value?.['format'] !== 'tabserve-model') return undefined
  if (model.dtype === 'auto') return value
  const message = `${address} holds a model folder of tabserve, which comes in one form: leave out \`dtype\`.`
  throw new EngineError('bad_request', message)
}

/** A file of a repository as JSON. Throws `bad_model`. */
export function parsed(bytes: Uint8Array | undefined, path: string, address: string): Json {
  if (bytes === undefined) return {}
  const value = jsonOf(bytes)
  if (value !== undefined) return value
  throw new EngineError('bad_model', `${address}${path} is not a JSON object.`, { file: path })
}

function jsonOf(bytes: Uint8Array): Json | undefined {
  try {
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes))
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined
  } catch {
    return undefined // callers say what that means for their file
  }
}

import type { DecoderGraph, GenerateManifest, ManifestFile, WeightForm } from '@tabserve/protocol'
import { manifestProblem } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'
import { buildDecoder } from './graph/decoder.ts'
import type { BuiltGraph } from './graph/decoder.ts'
import { parameterCount } from './graph/decoder-spec.ts'
import type { DecoderSpec } from './graph/decoder-spec.ts'
import { padHeads } from './graph/pad-heads.ts'
import { chooseLogitsParts } from './graph/logits-parts.ts'
import type { ModelTokenizer } from './tokenizer/model-tokenizer.ts'

/** What every conversion needs to know besides its source and where it goes. */
export interface ModelSettings {
  readonly name: string
  readonly version: string
  readonly weights: WeightForm
  /** Column parts of the int8 output projection; chosen by size where absent. */
  readonly logitsSplit?: number
  /** SPDX identifier. */
  readonly license?: string
  readonly description?: string
}

/** Where a model goes, file by file. What is written becomes a model with its manifest; whoever makes a target clears up where none comes. */
export interface ModelTarget {
  /** Pieces are taken one after the other, so that large weights are never all in memory. */
  write(file: MadeFile): Promise<ManifestFile>
  /** @param manifest the text of `manifest.json`, which lists every file. */
  finish(manifest: string): Promise<void>
}

export interface MadeFile {
  readonly path: string
  readonly bytes: number
  /** To be gone through once; pieces are made as they are asked for. */
  readonly chunks: Iterable<Uint8Array>
}

/** Of a model whose graph we wrote. */
export interface ConvertedManifest extends GenerateManifest {
  readonly graph: DecoderGraph
}

export interface MadeModel {
  readonly manifest: ConvertedManifest
  /** Matrices that the chosen form could not hold and that stayed fp32. */
  readonly fallbacks: readonly string[]
}

/** Told of each piece of a file, once it is made: bytes of all files together. */
export type OnMade = (file: string, madeBytes: number, totalBytes: number) => void

/** The last half of every conversion: a decoder and its tokenizer in, a model out. */
export async function makeModel(
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
  settings: ModelSettings,
  target: ModelTarget,
  onMade: OnMade = () => {},
): Promise<MadeModel> {
  const { weights } = settings
  const logitsParts = chooseLogitsParts(weights, spec.hiddenSize, spec.vocabSize, settings.logitsSplit)
  const padded = padHeads(spec)
  const graph = buildDecoder(padded, { weights, externalPath: EXTERNAL_DATA, logitsParts })
  const listed: ManifestFile[] = []
  for (const file of counted(filesOf(graph, tokenizer), onMade)) listed.push(await target.write(file))
  const manifest = describe(spec, padded.headDim, tokenizer, settings, graph, listed)
  const problem = manifestProblem(manifest)
  if (problem !== undefined) throw new ConvertError(`the model cannot be described: ${problem}`)
  await target.finish(`${JSON.stringify(manifest, null, 2)}\n`)
  return { manifest, fallbacks: graph.fallbacks }
}

function filesOf(graph: BuiltGraph, tokenizer: ModelTokenizer): MadeFile[] {
  const small = (path: string, bytes: Uint8Array): MadeFile => ({
    path,
    bytes: bytes.byteLength,
    chunks: [bytes],
  })
  const { externalData } = graph
  const encoder = new TextEncoder()
  return [
    small(GRAPH, graph.model),
    { path: EXTERNAL_DATA, bytes: externalData.bytes, chunks: externalData.chunks() },
    small(TOKENIZER, encoder.encode(tokenizer.json)),
    small(TOKENIZER_CONFIG, encoder.encode(tokenizer.configJson)),
  ]
}

/** The same files, told of as their pieces are made. */
function counted(files: readonly MadeFile[], onMade: OnMade): MadeFile[] {
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  let madeBytes = 0
  function* telling({ path, chunks }: MadeFile): Generator<Uint8Array> {
    for (const chunk of chunks) {
      madeBytes += chunk.byteLength
      onMade(path, madeBytes, totalBytes)
      yield chunk
    }
  }
  return files.map((file) => ({ ...file, chunks: telling(file) }))
}

function describe(
  spec: DecoderSpec,
  headDim: number,
  tokenizer: ModelTokenizer,
  settings: ModelSettings,
  graph: BuiltGraph,
  files: readonly ManifestFile[],
): ConvertedManifest {
  return {
    format: 'tabserve-model',
    formatVersion: 1,
    name: settings.name,
    version: settings.version,
    task: 'generate',
    ...(settings.description === undefined ? {} : { description: settings.description }),
    ...(settings.license === undefined ? {} : { license: settings.license }),
    parameters: parameterCount(spec),
    graph: {
      kind: 'decoder-gqa',
      architecture: spec.architecture,
      file: GRAPH,
      externalData: EXTERNAL_DATA,
      weights: settings.weights,
      layers: spec.layers.length,
      heads: spec.heads,
      kvHeads: spec.kvHeads,
      headDim,
      hiddenSize: spec.hiddenSize,
      vocabSize: spec.vocabSize,
      contextLength: spec.contextLength,
      ...quantizationOf(graph),
      decoder: graph.traits,
    },
    tokenizer: {
      file: TOKENIZER,
      config: TOKENIZER_CONFIG,
      ...(tokenizer.bosTokenId === undefined ? {} : { bosTokenId: tokenizer.bosTokenId }),
      eosTokenIds: tokenizer.eosTokenIds,
      addBos: tokenizer.addBos,
    },
    files,
  }
}

function quantizationOf(graph: BuiltGraph): Pick<DecoderGraph, 'quantization'> {
  const quantization = graph.quantization()
  return quantization === undefined ? {} : { quantization }
}

const GRAPH = 'model.onnx'
const EXTERNAL_DATA = 'model.onnx.data'
const TOKENIZER = 'tokenizer.json'
const TOKENIZER_CONFIG = 'tokenizer_config.json'

import type { DecoderGraph, Manifest, WeightForm } from '@tabserve/protocol'
import type { PerplexityComparison } from './evaluation/against-source.ts'
import { buildDecoder } from './graph/decoder.ts'
import type { BuiltGraph } from './graph/decoder.ts'
import { parameterCount } from './graph/decoder-spec.ts'
import type { DecoderSpec } from './graph/decoder-spec.ts'
import { padHeads } from './graph/pad-heads.ts'
import { chooseLogitsParts } from './graph/logits-parts.ts'
import { assertWritable, writeModelFolder } from './model-folder.ts'
import type { ModelTokenizer } from './tokenizer/model-tokenizer.ts'

/** What every conversion needs to know besides its source. */
export interface ModelOptions {
  readonly out: string
  readonly name: string
  readonly version: string
  readonly weights: WeightForm
  /** Column parts of the int8 output projection; chosen by size where absent. */
  readonly logitsSplit?: number
  /** Jinja source. */
  readonly chatTemplate?: string
  /** SPDX identifier. */
  readonly license?: string
  readonly description?: string
  /** Replace an existing model folder. */
  readonly force?: boolean
}

/** Of a model whose graph we wrote. */
export interface ConvertedManifest extends Manifest {
  readonly graph: DecoderGraph
}

export interface ConvertResult {
  readonly manifest: ConvertedManifest
  /** Matrices that the chosen form could not hold and that stayed fp32. */
  readonly fallbacks: readonly string[]
  /** Where a text was given to measure it on. */
  readonly perplexity?: PerplexityComparison
}

/** The last half of every conversion: a decoder and its tokenizer in, a model folder out. */
export async function writeModel(
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
  options: ModelOptions,
): Promise<ConvertResult> {
  const { out, weights, force = false } = options
  assertWritable(out, force)
  const logitsParts = chooseLogitsParts(weights, spec.hiddenSize, spec.vocabSize, options.logitsSplit)
  const padded = padHeads(spec)
  const graph = buildDecoder(padded, { weights, externalPath: EXTERNAL_DATA, logitsParts })
  const { contextLength } = spec
  const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
  const files = [
    { path: GRAPH, chunks: [graph.model] },
    { path: EXTERNAL_DATA, chunks: graph.externalData.chunks() },
    { path: TOKENIZER, chunks: [encode(tokenizer.json)] },
    { path: TOKENIZER_CONFIG, chunks: [encode(tokenizer.configJson)] },
  ]
  const manifest = await writeModelFolder(
    out,
    files,
    (listed): ConvertedManifest => ({
      format: 'tabserve-model',
      formatVersion: 1,
      name: options.name,
      version: options.version,
      task: 'generate',
      ...(options.description === undefined ? {} : { description: options.description }),
      ...(options.license === undefined ? {} : { license: options.license }),
      parameters: parameterCount(spec),
      graph: {
        kind: 'decoder-gqa',
        architecture: spec.architecture,
        file: GRAPH,
        externalData: EXTERNAL_DATA,
        weights,
        layers: spec.layers.length,
        heads: spec.heads,
        kvHeads: spec.kvHeads,
        headDim: padded.headDim,
        hiddenSize: spec.hiddenSize,
        vocabSize: spec.vocabSize,
        contextLength,
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
      files: listed,
    }),
    force,
  )
  return { manifest, fallbacks: graph.fallbacks }
}

function quantizationOf(graph: BuiltGraph): Pick<DecoderGraph, 'quantization'> {
  const quantization = graph.quantization()
  return quantization === undefined ? {} : { quantization }
}

const GRAPH = 'model.onnx'
const EXTERNAL_DATA = 'model.onnx.data'
const TOKENIZER = 'tokenizer.json'
const TOKENIZER_CONFIG = 'tokenizer_config.json'

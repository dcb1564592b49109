import { createHash } from 'node:crypto'
import { mkdir, readFile, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { Manifest, OnnxDecoderGraph } from '@tabserve/protocol'
import { llama2cDecoder } from '../../packages/convert/src/architectures/llama2c.ts'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { padHeads } from '../../packages/convert/src/graph/pad-heads.ts'
import { GraphBuilder } from '../../packages/convert/src/onnx/graph-builder.ts'
import { onnxModel } from '../../packages/convert/src/onnx/schema.ts'
import type { ModelProto } from '../../packages/convert/src/onnx/schema.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { readTokenizer } from '../../packages/convert/src/tokenizer/read-tokenizer.ts'
import type { ExportOptions } from './exporter.ts'
import { exportDecoder } from './exporter.ts'
import { GenaiAttention } from './genai-attention.ts'
import { OptimumAttention } from './optimum-attention.ts'

export interface ForeignOptions extends ExportOptions {
  readonly style: 'genai' | 'optimum'
  /** Weights within the graph instead of in a file beside it. */
  readonly inline: boolean
  /** What the file beside it is called. */
  readonly externalData?: string
}

export interface ForeignExport {
  readonly graph: Uint8Array
  readonly externalData: Uint8Array
  /** As the manifest describes it. */
  readonly described: OnnxDecoderGraph
}

/** A decoder as `style`'s exporter writes it. */
export function exportForeign(spec: DecoderSpec, options: ForeignOptions): ForeignExport {
  const { externalData: dataFile = DATA } = options
  const builder = new GraphBuilder(dataFile)
  const padded = options.style === 'genai' ? padHeads(spec) : spec
  exportDecoder(builder, padded, options, (blocks) =>
    options.style === 'genai'
      ? new GenaiAttention(blocks, padded, options)
      : new OptimumAttention(blocks, padded, options),
  )
  const { model, externalData } = builder.build(spec.architecture)
  const data = new Uint8Array(Buffer.concat([...externalData.chunks()]))
  const { architecture, heads, kvHeads, headDim, hiddenSize, vocabSize, contextLength } = padded
  return {
    graph: options.inline ? inlined(model, data) : model,
    externalData: data,
    described: {
      kind: 'decoder-onnx',
      architecture,
      file: GRAPH,
      externalData: options.inline ? [] : [`onnx/${dataFile}`],
      layers: spec.layers.length,
      heads,
      kvHeads,
      headDim,
      hiddenSize,
      vocabSize,
      contextLength,
    },
  }
}

/** stories260K as a foreign folder. @param eosTokenIds in place of the tokenizer's own. */
export async function writeForeign(
  checkpoints: string,
  out: string,
  options: ForeignOptions,
  eosTokenIds?: readonly number[],
): Promise<void> {
  const checkpoint = readLlama2c(await readFile(join(checkpoints, 'stories260K.bin')))
  const { graph, externalData, described } = exportForeign(llama2cDecoder(checkpoint), options)
  const vocabulary = readTokenizer(await readFile(join(checkpoints, 'tok512.bin')))
  const tokenizer = vocabularyTokenizer(vocabulary, described.contextLength)
  const files: Record<string, Uint8Array> = {
    [GRAPH]: graph,
    'tokenizer.json': new TextEncoder().encode(tokenizer.json),
    'tokenizer_config.json': new TextEncoder().encode(tokenizer.configJson),
  }
  for (const path of described.externalData) files[path] = externalData
  const manifest: Manifest = {
    format: 'tabserve-model',
    formatVersion: 1,
    name: `foreign-${options.style}`,
    version: '1',
    task: 'generate',
    parameters: 260_000,
    graph: described,
    tokenizer: {
      file: 'tokenizer.json',
      config: 'tokenizer_config.json',
      bosTokenId: 1,
      eosTokenIds: eosTokenIds ?? tokenizer.eosTokenIds,
      addBos: true,
    },
    files: Object.entries(files).map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })),
  }
  files['manifest.json'] = new TextEncoder().encode(JSON.stringify(manifest))
  for (const [path, bytes] of Object.entries(files)) {
    await mkdir(dirname(join(out, path)), { recursive: true })
    await writeFile(join(out, path), bytes)
  }
}

/** A graph with the weights of its external data within it. */
export function inlined(model: Uint8Array, data: Uint8Array): Uint8Array {
  const decoded = onnxModel.decode(model) as ModelProto
  const initializer = decoded.graph.initializer.map(({ externalData = [], dataLocation, ...tensor }) => {
    if (externalData.length === 0) return tensor
    const [offset = 0, length = 0] = ['offset', 'length'].map((key) =>
      Number(externalData.find((entry) => entry.key === key)?.value),
    )
    return { ...tensor, rawData: data.subarray(offset, offset + length) }
  })
  return onnxModel.encode({ ...decoded, graph: { ...decoded.graph, initializer } })
}

const GRAPH = 'onnx/model.onnx'
const DATA = 'model.onnx_data'

import type { StoredTensor } from '../checkpoint/stored-tensor.ts'
import { ConvertError } from '../convert-error.ts'
import type { DecoderLayer, DecoderSpec } from '../graph/decoder-spec.ts'
import type { Matrix } from '../graph/matrix.ts'
import { plainRotary } from '../graph/rotary.ts'
import { scaledRotary } from '../graph/rotary-scaling.ts'
import type { Architecture, LayerPart } from './architecture.ts'
import type { DecoderConfig } from './decoder-config.ts'
import { splitHalves } from './split-halves.ts'
import { TensorPicker } from './tensor-picker.ts'

/** How a file names and stores the weights of an architecture. */
export interface Storage {
  readonly embedding: string
  readonly finalNorm: string
  readonly lmHead: string
  /** Name without `.weight`; `undefined` for a part that the architecture does not have. */
  readonly part: (layer: number, part: LayerPart) => string | undefined
  /** Names that a file may have and a decoder needs not. */
  readonly ignored: RegExp
  /** Norm weights lack the one that the architecture adds. */
  readonly normsAddOne: boolean
  /** Rotary pairs are neighbouring rows of query and key, as llama.cpp wants them of the Llama family. */
  readonly rotaryInterleaved: boolean
}

/** A checkpoint as a decoder: every weight that the architecture has, of the shape that the configuration says, and no other. */
export function assembleDecoder(
  architecture: Architecture,
  config: DecoderConfig,
  tensors: ReadonlyMap<string, StoredTensor>,
  storage: Storage,
): DecoderSpec {
  const picker = new TensorPicker(tensors, storage.normsAddOne ? 1 : 0)
  const { hiddenSize, vocabSize } = config
  const embedding = picker.matrix('embedding', storage.embedding, vocabSize, hiddenSize)
  const layers = Array.from({ length: config.layers }, (_, index) => layer(picker, config, storage, index))
  const spec: DecoderSpec = {
    architecture: architecture.name,
    hiddenSize,
    vocabSize,
    contextLength: config.contextLength,
    heads: config.heads,
    kvHeads: config.kvHeads,
    headDim: config.headDim,
    attentionScale: config.attentionScale,
    attentionSoftcap: config.attentionSoftcap,
    normEpsilon: config.normEpsilon,
    activation: architecture.activation,
    rotaries: rotariesOf(config),
    embedding,
    embeddingScale: architecture.embeddingScale(hiddenSize),
    layers,
    finalNorm: picker.norm(storage.finalNorm, hiddenSize),
    lmHead: lmHead(picker, config, storage),
    logitsSoftcap: config.logitsSoftcap,
  }
  picker.end(storage.ignored)
  return spec
}

function layer(picker: TensorPicker, config: DecoderConfig, storage: Storage, index: number): DecoderLayer {
  const { hiddenSize, feedForwardSize, heads, kvHeads, headDim } = config
  const nameOf = (part: LayerPart): string => {
    const name = storage.part(index, part)
    if (name === undefined) throw new Error(`an architecture without ${part}`)
    return name
  }
  const matrix = (name: string, part: LayerPart, rows: number, columns: number): Matrix =>
    picker.matrix(`layers.${index}.${name}`, nameOf(part), rows, columns)
  const norm = (part: LayerPart, size: number): Float32Array | undefined => {
    const name = storage.part(index, part)
    return name === undefined ? undefined : picker.norm(name, size)
  }
  const turning = (rotated: Matrix): Matrix =>
    storage.rotaryInterleaved ? splitHalves(rotated, headDim) : rotated
  const window = config.windows[index] ?? 0
  return {
    attentionNorm: picker.norm(nameOf('attentionNorm'), hiddenSize),
    query: turning(matrix('attention.query', 'query', heads * headDim, hiddenSize)),
    key: turning(matrix('attention.key', 'key', kvHeads * headDim, hiddenSize)),
    value: matrix('attention.value', 'value', kvHeads * headDim, hiddenSize),
    queryNorm: norm('queryNorm', headDim),
    keyNorm: norm('keyNorm', headDim),
    output: matrix('attention.output', 'output', hiddenSize, heads * headDim),
    attentionPostNorm: norm('attentionPostNorm', hiddenSize),
    feedForwardNorm: picker.norm(nameOf('feedForwardNorm'), hiddenSize),
    gate: matrix('feed_forward.gate', 'gate', feedForwardSize, hiddenSize),
    up: matrix('feed_forward.up', 'up', feedForwardSize, hiddenSize),
    down: matrix('feed_forward.down', 'down', hiddenSize, feedForwardSize),
    feedForwardPostNorm: norm('feedForwardPostNorm', hiddenSize),
    window,
    rotary: window > 0 && config.localRotaryTheta !== undefined ? 'rotary_local' : 'rotary',
  }
}

/** Where a configuration says that the table is shared, a file may hold it twice all the same. */
function lmHead(
  picker: TensorPicker,
  { tied, vocabSize, hiddenSize }: DecoderConfig,
  storage: Storage,
): Matrix | undefined {
  const stored = picker.has(storage.lmHead)
  if (!stored && tied === false)
    throw new ConvertError(
      `the checkpoint has no ${storage.lmHead}, and its configuration says that it is not tied`,
    )
  const table = stored ? picker.matrix('lm_head', storage.lmHead, vocabSize, hiddenSize) : undefined
  return tied === true ? undefined : table
}

/** The tables that layers name: a rotation that nobody uses would be listed for nothing. */
function rotariesOf(config: DecoderConfig): DecoderSpec['rotaries'] {
  const { rotary, localRotaryTheta, headDim, windows } = config
  const local = localRotaryTheta !== undefined && windows.some((window) => window > 0)
  const global = !local || windows.some((window) => window === 0)
  return {
    ...(global ? { rotary: scaledRotary(rotary.theta, headDim, rotary.scaling) } : {}),
    ...(local ? { rotary_local: plainRotary(localRotaryTheta, headDim) } : {}),
  }
}

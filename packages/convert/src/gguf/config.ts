import type { Architecture } from '../architectures/architecture.ts'
import type { DecoderConfig } from '../architectures/decoder-config.ts'
import { architectureOf } from '../architectures/index.ts'
import { assertShape } from '../architectures/shape-problem.ts'
import { Fields } from '../checkpoint/fields.ts'
import { ConvertError } from '../convert-error.ts'
import type { RotaryScaling } from '../graph/rotary-scaling.ts'
import type { GgufFile } from './file.ts'

/** What the metadata of a GGUF file says, in llama.cpp's words, with its defaults. */
export function readGgufConfig({ metadata, tensors }: GgufFile): {
  readonly architecture: Architecture
  readonly config: DecoderConfig
} {
  const name = metadata.get('general.architecture')
  const architecture = architectureOf(name)
  const fields = new Fields('the metadata', (key) => metadata.get(`${String(name)}.${key}`))
  const heads = fields.count('attention.head_count')
  const hiddenSize = fields.count('embedding_length')
  const headDim = fields.optionalCount('attention.key_length') ?? hiddenSize / heads
  const layers = fields.count('block_count')
  if ((fields.optionalCount('attention.value_length') ?? headDim) !== headDim)
    throw new ConvertError('heads whose values have another size than their keys cannot be converted')
  if ((fields.optionalCount('rope.dimension_count') ?? headDim) !== headDim)
    throw new ConvertError('heads that turn only in part ("rope.dimension_count") cannot be converted')
  const shape = {
    hiddenSize,
    feedForwardSize: fields.count('feed_forward_length'),
    layers,
    heads,
    kvHeads: fields.optionalCount('attention.head_count_kv') ?? heads,
    headDim,
    vocabSize: vocabSize({ metadata, tensors }),
    contextLength: fields.count('context_length'),
    normEpsilon: fields.number('attention.layer_norm_rms_epsilon'),
    attentionScale: attentionScale(architecture, { layers, hiddenSize, heads, headDim }),
    attentionSoftcap:
      architecture.name === 'gemma2' ? (fields.optionalNumber('attn_logit_softcapping') ?? 50) : undefined,
    logitsSoftcap:
      architecture.name === 'gemma2' ? (fields.optionalNumber('final_logit_softcapping') ?? 30) : undefined,
    rotary: {
      theta: fields.optionalNumber('rope.freq_base') ?? 10_000,
      scaling: scalingOf(fields, { metadata, tensors }),
    },
    localRotaryTheta: architecture.name === 'gemma3' ? 10_000 : undefined,
    tied: undefined,
  }
  assertShape(shape)
  return { architecture, config: { ...shape, windows: windowsOf(fields, architecture, layers) } }
}

/** As many tokens as the embedding has rows; the metadata need not say it. */
function vocabSize({ tensors }: Pick<GgufFile, 'metadata' | 'tensors'>): number {
  const size = tensors.get('token_embd.weight')?.shape[0]
  if (size === undefined) throw new ConvertError('the checkpoint has no tensor token_embd.weight')
  return size
}

/** 1/√headDim, but for the two Gemmas of 27 B, which llama.cpp knows by their layers. */
function attentionScale(
  { name }: Architecture,
  {
    layers,
    hiddenSize,
    heads,
    headDim,
  }: { layers: number; hiddenSize: number; heads: number; headDim: number },
): number {
  const is27B = (name === 'gemma2' && layers === 46) || (name === 'gemma3' && layers === 62)
  return 1 / Math.sqrt(is27B ? hiddenSize / heads : headDim)
}

/** Of the Llama family llama.cpp gives windows to none. */
function windowsOf(fields: Fields, architecture: Architecture, layers: number): number[] {
  const slidingWindow = fields.optionalCount('attention.sliding_window')
  const none = { useSlidingWindow: undefined, maxWindowLayers: undefined, pattern: undefined }
  return architecture.windows({ layers, slidingWindow, ...none })
}

function scalingOf(
  fields: Fields,
  { tensors }: Pick<GgufFile, 'metadata' | 'tensors'>,
): RotaryScaling | undefined {
  const factors = tensors.get('rope_freqs.weight')
  if (factors !== undefined) return { kind: 'factors', factors: factors.read(0, factors.shape[0] ?? 0) }
  const kind = fields.optionalText('rope.scaling.type') ?? 'none'
  if (kind === 'none') return undefined
  const factor = fields.number('rope.scaling.factor')
  if (kind === 'linear') return { kind, factor }
  if (kind !== 'yarn')
    throw new ConvertError(
      `the rotary scaling ${JSON.stringify(kind)} cannot be converted; linear and yarn can`,
    )
  const logMultiplier = fields.optionalNumber('rope.scaling.yarn_log_multiplier')
  if (logMultiplier !== undefined && logMultiplier !== 0)
    throw new ConvertError('YaRN with a log multiplier of its own cannot be converted')
  return {
    kind,
    factor,
    originalLength: fields.count('rope.scaling.original_context_length'),
    betaFast: fields.optionalNumber('rope.scaling.yarn_beta_fast') ?? 32,
    betaSlow: fields.optionalNumber('rope.scaling.yarn_beta_slow') ?? 1,
    truncate: true,
  }
}

import { isRecord } from '@tabserve/protocol'
import type { Architecture } from '../architectures/architecture.ts'
import type { DecoderConfig } from '../architectures/decoder-config.ts'
import { architectureOf } from '../architectures/index.ts'
import { assertShape } from '../architectures/shape-problem.ts'
import { recordFields } from '../checkpoint/fields.ts'
import type { Fields } from '../checkpoint/fields.ts'
import { ConvertError } from '../convert-error.ts'
import { rotaryOf } from './rotary-config.ts'

/** What a `config.json` says, in the words of transformers' configurations, with their defaults. */
export function readConfig(json: unknown): {
  readonly architecture: Architecture
  readonly config: DecoderConfig
} {
  if (!isRecord(json)) throw new ConvertError('config.json is not a JSON object')
  const fields = recordFields('config.json', json)
  const architecture = architectureOf(fields.value('model_type'))
  const heads = fields.count('num_attention_heads')
  const hiddenSize = fields.count('hidden_size')
  const headDim = fields.optionalCount('head_dim') ?? hiddenSize / heads
  const shape = {
    hiddenSize,
    feedForwardSize: fields.count('intermediate_size'),
    layers: fields.count('num_hidden_layers'),
    heads,
    kvHeads: fields.optionalCount('num_key_value_heads') ?? heads,
    headDim,
    vocabSize: fields.count('vocab_size'),
    contextLength: fields.count('max_position_embeddings'),
    normEpsilon: fields.optionalNumber('rms_norm_eps') ?? 1e-6,
    attentionScale: 1 / Math.sqrt(fields.optionalNumber('query_pre_attn_scalar') ?? headDim),
    attentionSoftcap: fields.optionalNumber('attn_logit_softcapping'),
    logitsSoftcap: fields.optionalNumber('final_logit_softcapping'),
    tied: fields.optionalBoolean('tie_word_embeddings'),
    ...rotaryOf(fields, architecture),
  }
  assertShape(shape)
  assertActivation(fields, architecture)
  return { architecture, config: { ...shape, windows: windowsOf(fields, architecture, shape.layers) } }
}

/** Newer configurations list the kind of each layer; older ones leave it to the architecture. */
function windowsOf(fields: Fields, architecture: Architecture, layers: number): number[] {
  const slidingWindow = fields.optionalCount('sliding_window')
  const kinds = fields.value('layer_types')
  if (Array.isArray(kinds)) {
    if (kinds.length !== layers) throw fields.wrong('layer_types', `${layers} names`)
    return kinds.map((kind) => {
      if (kind === 'full_attention') return 0
      if (kind === 'sliding_attention' && slidingWindow !== undefined) return slidingWindow
      throw new ConvertError(`layers of the type ${JSON.stringify(kind)} cannot be converted`)
    })
  }
  return architecture.windows({
    layers,
    slidingWindow,
    useSlidingWindow: fields.optionalBoolean('use_sliding_window'),
    maxWindowLayers: fields.optionalNumber('max_window_layers'),
    pattern: fields.optionalCount('sliding_window_pattern'),
  })
}

function assertActivation(fields: Fields, { name, activation }: Architecture): void {
  const said = fields.optionalText('hidden_activation') ?? fields.optionalText('hidden_act')
  const fits = activation === 'silu' ? ['silu', 'swish'] : ['gelu_pytorch_tanh', 'gelu_tanh', 'gelu_new']
  if (said !== undefined && !fits.includes(said))
    throw new ConvertError(`the activation ${JSON.stringify(said)} is not that of ${name}: ${fits[0]}`)
}

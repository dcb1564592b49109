import type { Architecture } from '../architectures/architecture.ts'
import type { DecoderConfig } from '../architectures/decoder-config.ts'
import { recordFields } from '../checkpoint/fields.ts'
import type { Fields } from '../checkpoint/fields.ts'
import { ConvertError } from '../convert-error.ts'
import type { RotaryScaling } from '../graph/rotary-scaling.ts'

/** How heads turn: `rope_theta` and `rope_scaling`, or the `rope_parameters` of newer configurations, one set or one for each kind of layer. */
export function rotaryOf(
  fields: Fields,
  { name }: Architecture,
): Pick<DecoderConfig, 'rotary' | 'localRotaryTheta'> {
  if ((fields.optionalNumber('partial_rotary_factor') ?? 1) !== 1)
    throw new ConvertError('heads that turn only in part ("partial_rotary_factor") cannot be converted')
  const parameters = record(fields, 'rope_parameters')
  const global = parameters === undefined ? undefined : (record(parameters, 'full_attention') ?? parameters)
  const local = parameters === undefined ? undefined : record(parameters, 'sliding_attention')
  const defaultTheta = name === 'gemma3' ? 1_000_000 : 10_000
  const theta = global?.optionalNumber('rope_theta') ?? fields.optionalNumber('rope_theta') ?? defaultTheta
  const scaling = scalingOf(global ?? record(fields, 'rope_scaling'), fields)
  if (name !== 'gemma3') return { rotary: { theta, scaling } }
  const localRotaryTheta =
    local?.optionalNumber('rope_theta') ?? fields.optionalNumber('rope_local_base_freq') ?? 10_000
  return { rotary: { theta, scaling }, localRotaryTheta }
}

function scalingOf(scaling: Fields | undefined, config: Fields): RotaryScaling | undefined {
  const kind = scaling?.optionalText('rope_type') ?? scaling?.optionalText('type') ?? 'default'
  if (scaling === undefined || kind === 'default') return undefined
  const originalLength = (): number =>
    scaling.optionalCount('original_max_position_embeddings') ??
    config.optionalCount('original_max_position_embeddings') ??
    config.count('max_position_embeddings')
  switch (kind) {
    case 'linear':
      return { kind, factor: factorOf(scaling) }
    case 'llama3':
      return {
        kind,
        factor: factorOf(scaling),
        lowFreqFactor: scaling.number('low_freq_factor'),
        highFreqFactor: scaling.number('high_freq_factor'),
        originalLength: originalLength(),
      }
    case 'yarn':
      return {
        kind,
        factor: factorOf(scaling),
        originalLength: originalLength(),
        betaFast: scaling.optionalNumber('beta_fast') ?? 32,
        betaSlow: scaling.optionalNumber('beta_slow') ?? 1,
        attentionFactor: yarnAttentionFactor(scaling),
        truncate: scaling.optionalBoolean('truncate') ?? true,
      }
    default:
      throw new ConvertError(
        `the rotary scaling ${JSON.stringify(kind)} cannot be converted; linear, llama3 and yarn can`,
      )
  }
}

function factorOf(scaling: Fields): number {
  const factor = scaling.number('factor')
  if (factor < 1) throw scaling.wrong('factor', 'a number from 1 up')
  return factor
}

/** DeepSeek's pair of `mscale`s gives the factor where it is not given itself. */
function yarnAttentionFactor(scaling: Fields): number | undefined {
  const given = scaling.optionalNumber('attention_factor')
  const scale = scaling.optionalNumber('mscale')
  const all = scaling.optionalNumber('mscale_all_dim')
  if (given !== undefined || !scale || !all) return given
  const factor = scaling.number('factor')
  const magnitude = (mscale: number): number => (factor <= 1 ? 1 : 0.1 * mscale * Math.log(factor) + 1)
  return magnitude(scale) / magnitude(all)
}

function record(fields: Fields, key: string): Fields | undefined {
  const value = fields.value(key)
  if (value === undefined) return undefined
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw fields.wrong(key, 'an object')
  return recordFields(`config.json, ${key},`, value as Record<string, unknown>)
}

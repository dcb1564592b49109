import type { TensorValue } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Transformers } from './door.ts'
import { fromOrt } from '../backend/ort-types.ts'

type Config = Readonly<Record<string, unknown>>

/** What a processor made: tensors, and facts such as the size of the picture. */
export type Processed = Readonly<Record<string, unknown>>
export type Processor = (input: unknown) => Promise<Processed>

/**
 * The processor that `preprocessor_config.json` names, out of transformers.js. @param standard the class where it names none.
 * Throws `bad_model` where there is no such class.
 */
export function processorOf(library: Transformers, config: Config, standard: string): Processor {
  const said = config['image_processor_type'] ?? config['feature_extractor_type'] ?? standard
  const classes = library as unknown as Readonly<Record<string, unknown>>
  // Configurations name the Python classes, which may be the fast ones.
  const found = classes[String(said)] ?? classes[String(said).replace(/Fast$/, '')]
  if (typeof found !== 'function')
    throw new EngineError('bad_model', `transformers.js has no processor ${String(said)}.`, {
      file: 'preprocessor_config.json',
    })
  const made = new (found as new (config: Config) => Processor)(config)
  return (input) => made(input)
}

/** A tensor of the library's as one of ours. Throws `bad_model`. */
export function tensorOf(processed: Processed, name: string): TensorValue {
  const tensor = processed[name] as
    | { readonly type?: string; readonly data: TensorValue['data']; readonly dims: readonly number[] }
    | undefined
  if (typeof tensor?.type !== 'string')
    throw new EngineError(
      'bad_model',
      `The processor gives no ${name}; it gives ${Object.keys(processed).join(', ')}.`,
    )
  return fromOrt(name, { type: tensor.type, data: tensor.data, dims: tensor.dims })
}

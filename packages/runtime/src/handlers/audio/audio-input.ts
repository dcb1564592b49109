import type { Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { openTransformers } from '../../transformers/door.ts'
import { processorOf, tensorOf } from '../../transformers/processor.ts'
import type { TaskModel } from '../task-model.ts'
import { floats } from '../tensors.ts'

/**
 * Audio at 16 kHz as an encoder's input. `input_features` (Whisper's mel spectrogram) are made by transformers.js as `preprocessor_config.json` says;
 * `input_values` (Moonshine) are the samples themselves where no file says otherwise.
 * @param names of the encoder's inputs.
 */
export async function audioInput(
  model: TaskModel,
  names: readonly string[],
): Promise<(samples: Float32Array) => Promise<Tensors>> {
  const config = await model.json('preprocessor_config.json')
  const [name = 'input_features'] = names
  if (name === 'input_values' && config['feature_extractor_type'] === undefined)
    return (samples) => Promise.resolve({ [name]: floats([1, samples.length], samples) })
  const { library } = await openTransformers(model.host)
  const process = processorOf(library, config, 'WhisperFeatureExtractor')
  return async (samples) => {
    const processed = await process(samples)
    return Object.fromEntries(names.map((each) => [each, tensorOf(processed, each)]))
  }
}

/** Throws `bad_request`. */
export function checkedSamples(input: unknown): Float32Array {
  if (input instanceof Float32Array && input.length > 0) return input
  throw new EngineError('bad_request', 'Audio is a Float32Array of 16,000 samples a second, one channel.', {
    param: 'input',
  })
}

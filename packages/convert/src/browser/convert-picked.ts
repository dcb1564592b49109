import type { PickedFile } from '@tabserve/protocol'
import { makeModel } from '../make-model.ts'
import type { MadeModel, ModelSettings, ModelTarget, OnMade } from '../make-model.ts'
import { modelName } from '../model-name.ts'
import type { SourceOptions } from '../source-model.ts'
import { findCheckpoint } from './picked-checkpoint.ts'

export interface PickedOptions extends Omit<ModelSettings, 'name'>, SourceOptions {
  /** That of the picked file or folder where absent. */
  readonly name?: string
}

/**
 * A `.gguf` file, or a folder with config.json and safetensors, to a model. Runs in a worker, and holds of the weights only those that it is
 * working on. Throws ConvertError for what cannot be converted, and whatever the target throws.
 */
export async function convertPicked(
  files: readonly PickedFile[],
  options: PickedOptions,
  target: ModelTarget,
  onMade: OnMade,
): Promise<MadeModel> {
  const checkpoint = findCheckpoint(files)
  const { spec, tokenizer, dispose } = checkpoint.open(options)
  try {
    const name = options.name ?? (modelName(checkpoint.name) || 'model')
    return await makeModel(spec, tokenizer, { ...options, name }, target, onMade)
  } finally {
    dispose()
  }
}

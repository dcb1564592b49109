import { compareWithSource } from './evaluation/against-source.ts'
import type { SourceModel, SourceOptions } from './source-model.ts'
import { writeModel } from './write-model.ts'
import type { ConvertResult, ModelOptions } from './write-model.ts'

export interface CheckpointOptions extends ModelOptions, SourceOptions {
  /** A text on which to measure perplexity, of the converted model and of the source. */
  readonly text?: string
}

/** Writes the folder and, given a text, measures it; then the source is closed. */
export async function finishConversion(
  { spec, tokenizer, dispose }: SourceModel,
  options: CheckpointOptions,
): Promise<ConvertResult> {
  try {
    const result = await writeModel(spec, tokenizer, options)
    if (options.text === undefined) return result
    return { ...result, perplexity: await compareWithSource(spec, tokenizer, options, options.text) }
  } finally {
    dispose()
  }
}

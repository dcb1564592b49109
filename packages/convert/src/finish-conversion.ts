import { compareWithSource } from './evaluation/against-source.ts'
import type { DecoderSpec } from './graph/decoder-spec.ts'
import type { ModelTokenizer } from './tokenizer/model-tokenizer.ts'
import { writeModel } from './write-model.ts'
import type { ConvertResult, ModelOptions } from './write-model.ts'

export interface CheckpointOptions extends ModelOptions {
  /** Positions that the converted model has; at most those of the source, and 8192 of them where absent. */
  readonly contextLength?: number
  /** A text on which to measure perplexity, of the converted model and of the source. */
  readonly text?: string
}

/** Writes the folder and, given a text, measures it. The source must still be open. */
export async function finishConversion(
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
  options: CheckpointOptions,
): Promise<ConvertResult> {
  const result = await writeModel(spec, tokenizer, options)
  if (options.text === undefined) return result
  return { ...result, perplexity: await compareWithSource(spec, tokenizer, options, options.text) }
}

import type { PerplexityComparison } from './evaluation/against-source.ts'
import type { DecoderSpec } from './graph/decoder-spec.ts'
import type { MadeModel, ModelSettings } from './make-model.ts'
import { makeModel } from './make-model.ts'
import { intoModelFolder } from './model-folder.ts'
import type { ModelTokenizer } from './tokenizer/model-tokenizer.ts'

/** What every conversion to a folder needs to know besides its source. */
export interface ModelOptions extends ModelSettings {
  readonly out: string
  /** Jinja source. */
  readonly chatTemplate?: string
  /** Replace an existing model folder. */
  readonly force?: boolean
}

export interface ConvertResult extends MadeModel {
  /** Where a text was given to measure it on. */
  readonly perplexity?: PerplexityComparison
}

/** A decoder and its tokenizer in, a model folder out. */
export function writeModel(
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
  options: ModelOptions,
): Promise<ConvertResult> {
  const { out, force = false } = options
  return intoModelFolder(out, force, (target) => makeModel(spec, tokenizer, options, target))
}

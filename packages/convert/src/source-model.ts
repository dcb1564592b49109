import type { DecoderSpec } from './graph/decoder-spec.ts'
import type { ModelTokenizer } from './tokenizer/model-tokenizer.ts'

/** What an opened checkpoint is: its weights are read when they are written, so it stays open until then. */
export interface SourceModel {
  readonly spec: DecoderSpec
  readonly tokenizer: ModelTokenizer
  dispose(): void
}

/** What is made of a checkpoint otherwise than it says. */
export interface SourceOptions {
  /** Positions that the converted model has; at most those of the source, and 8192 of them where absent. */
  readonly contextLength?: number
  /** Jinja source, instead of the checkpoint's own. */
  readonly chatTemplate?: string
}

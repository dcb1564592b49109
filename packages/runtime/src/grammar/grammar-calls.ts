import type { GrammarSpec } from './grammar-spec.ts'

/** A model's tokens as its tokenizer's file writes them, by id; '' for those that are no text. */
export interface Vocabulary {
  readonly tokens: readonly string[]
  /** How bytes are written in them: GPT-2's letters, `<0x0A>` and `▁`, or not at all. */
  readonly kind: 'byte_level' | 'byte_fallback' | 'raw'
  readonly eosTokenIds: readonly number[]
  /** Special tokens that are text where calls of tools are written, by id. */
  readonly markers: ReadonlyMap<number, string>
}

/** What the worker that keeps grammars is told. An answer to a request is one `id`. */
export type GrammarCall =
  | { readonly type: 'open'; readonly script: string; readonly vocabulary: Vocabulary }
  /** `tokens` it has said already. */
  | {
      readonly type: 'start'
      readonly id: number
      readonly spec: GrammarSpec
      readonly tokens: readonly number[]
    }
  | { readonly type: 'accept'; readonly id: number; readonly token: number }
  | { readonly type: 'end'; readonly id: number }

/** What it says: one word for every `start` and `accept`. */
export type GrammarAnswer =
  | { readonly type: 'mask'; readonly id: number; readonly mask: Int32Array<ArrayBuffer> }
  /** The grammar is wrong; the worker is not to be used any more. */
  | { readonly type: 'refused'; readonly id: number; readonly reason: string }
  /** XGrammar could not be loaded. */
  | { readonly type: 'failed'; readonly reason: string }

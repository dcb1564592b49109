import { ConvertError } from '../convert-error.ts'
import type { PieceKind } from './pieces.ts'

/** A byte-level BPE vocabulary, as GPT-2's and its descendants': tokens are written in GPT-2's letters for bytes. */
export interface ByteLevelVocabulary {
  readonly tokens: readonly { readonly text: string; readonly kind: PieceKind }[]
  /** Pairs with a space between them, the first to be merged first. */
  readonly merges: readonly string[]
  /** How text is cut before it is merged, by the name that llama.cpp gave it. */
  readonly preTokenizer: string
  readonly bosId: number | undefined
  readonly addBos: boolean
}

/** `tokenizer.json` in Hugging Face's format. */
export function byteLevelJson(vocabulary: ByteLevelVocabulary): object {
  const { tokens, merges, bosId, addBos } = vocabulary
  const cut = cutOf(vocabulary.preTokenizer)
  const bos = bosId === undefined ? undefined : tokens[bosId]?.text
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: tokens.flatMap(({ text, kind }, id) => {
      if (kind !== 'control' && kind !== 'user-defined') return []
      const special = kind === 'control'
      return [
        { id, content: text, single_word: false, lstrip: false, rstrip: false, normalized: false, special },
      ]
    }),
    normalizer: cut.normalizer,
    pre_tokenizer: { type: 'Sequence', pretokenizers: cut.pretokenizers },
    post_processor: addBos && bos !== undefined ? beginningWith(bos, bosId as number) : BYTE_LEVEL,
    decoder: BYTE_LEVEL,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: '',
      end_of_word_suffix: '',
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: cut.wholeWordsFirst,
      vocab: Object.fromEntries(tokens.map(({ text }, id) => [text, id])),
      merges,
    },
  }
}

interface Cut {
  readonly normalizer: object | null
  readonly pretokenizers: readonly object[]
  /** A word that is a token is that token, whatever the merges say. */
  readonly wholeWordsFirst: boolean
}

const BYTE_LEVEL = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false }
/** With GPT-2's own expression. */
const GPT2_CUT = { ...BYTE_LEVEL, use_regex: true }

const WORDS_UP_TO_3_DIGITS =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
const TEKKEN =
  '[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*|\\p{N}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+'

/** llama.cpp's names (llama-vocab.cpp) for what the published tokenizer.json files do. */
const CUTS: Readonly<Record<string, Cut>> = {
  default: { normalizer: null, pretokenizers: [GPT2_CUT], wholeWordsFirst: false },
  'gpt-2': { normalizer: null, pretokenizers: [GPT2_CUT], wholeWordsFirst: false },
  smollm: {
    normalizer: null,
    pretokenizers: [{ type: 'Digits', individual_digits: true }, GPT2_CUT],
    wholeWordsFirst: false,
  },
  'llama-bpe': { normalizer: null, pretokenizers: splitting(WORDS_UP_TO_3_DIGITS), wholeWordsFirst: true },
  qwen2: {
    normalizer: { type: 'NFC' },
    pretokenizers: splitting(WORDS_UP_TO_3_DIGITS.replace('{1,3}', '')),
    wholeWordsFirst: false,
  },
  tekken: { normalizer: null, pretokenizers: splitting(TEKKEN), wholeWordsFirst: true },
}

function cutOf(name: string): Cut {
  const cut = Object.hasOwn(CUTS, name) ? CUTS[name] : undefined
  if (cut !== undefined) return cut
  throw new ConvertError(
    `the pre-tokenizer ${JSON.stringify(name)} is not one of ${Object.keys(CUTS).join(', ')}; the Hugging Face folder of the model has a tokenizer.json`,
  )
}

function splitting(pattern: string): object[] {
  return [{ type: 'Split', pattern: { Regex: pattern }, behavior: 'Isolated', invert: false }, BYTE_LEVEL]
}

function beginningWith(bos: string, id: number): object {
  return {
    type: 'TemplateProcessing',
    single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
    pair: [
      { SpecialToken: { id: bos, type_id: 0 } },
      { Sequence: { id: 'A', type_id: 0 } },
      { SpecialToken: { id: bos, type_id: 1 } },
      { Sequence: { id: 'B', type_id: 1 } },
    ],
    special_tokens: { [bos]: { id: bos, ids: [id], tokens: [bos] } },
  }
}

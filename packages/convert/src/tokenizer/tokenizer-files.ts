import { mergesOf } from './merges.ts'
import { SPACE } from './pieces.ts'
import type { Vocabulary } from './pieces.ts'

export interface TokenizerFiles {
  readonly tokenizerJson: string
  readonly configJson: string
}

export interface TokenizerOptions {
  /** Largest number of tokens that the model reads. */
  readonly contextLength: number
  /** Jinja, as in Hugging Face's tokenizer_config.json. */
  readonly chatTemplate?: string
}

/** `tokenizer.json` and `tokenizer_config.json` in Hugging Face's format. Deterministic: the same vocabulary gives the same text. */
export function tokenizerFiles(vocabulary: Vocabulary, options: TokenizerOptions): TokenizerFiles {
  return {
    tokenizerJson: `${JSON.stringify(tokenizerJson(vocabulary))}\n`,
    configJson: `${JSON.stringify(configJson(vocabulary, options), null, 2)}\n`,
  }
}

function tokenizerJson(vocabulary: Vocabulary): object {
  const { pieces, dummyPrefix } = vocabulary
  const bos = textOf(vocabulary, vocabulary.bosId)
  const byteFallback = pieces.some((piece) => piece.kind === 'byte')
  const prepend = dummyPrefix ? [{ type: 'Prepend', prepend: SPACE }] : []
  const strip = dummyPrefix ? [{ type: 'Strip', content: ' ', start: 1, stop: 0 }] : []
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens: addedTokens(vocabulary),
    normalizer: {
      type: 'Sequence',
      normalizers: [...prepend, { type: 'Replace', pattern: { String: ' ' }, content: SPACE }],
    },
    pre_tokenizer: null,
    post_processor: {
      type: 'TemplateProcessing',
      single: [{ SpecialToken: { id: bos, type_id: 0 } }, { Sequence: { id: 'A', type_id: 0 } }],
      pair: [
        { SpecialToken: { id: bos, type_id: 0 } },
        { Sequence: { id: 'A', type_id: 0 } },
        { SpecialToken: { id: bos, type_id: 1 } },
        { Sequence: { id: 'B', type_id: 1 } },
      ],
      special_tokens: { [bos]: { id: bos, ids: [vocabulary.bosId], tokens: [bos] } },
    },
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: SPACE }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...strip,
      ],
    },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: textOf(vocabulary, vocabulary.unknownId),
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: true,
      byte_fallback: byteFallback,
      vocab: Object.fromEntries(pieces.map((piece, id) => [piece.text, id])),
      // A piece is never split in a pair with a space in it: spaces are ▁ here.
      merges: mergesOf(vocabulary).map(([left, right]) => `${left} ${right}`),
    },
  }
}

function addedTokens({ pieces }: Vocabulary): object[] {
  return pieces.flatMap(({ text, kind }, id) => {
    if (kind !== 'unknown' && kind !== 'control' && kind !== 'user-defined') return []
    const special = kind !== 'user-defined'
    return [
      { id, content: text, single_word: false, lstrip: false, rstrip: false, normalized: special, special },
    ]
  })
}

function configJson(vocabulary: Vocabulary, { contextLength, chatTemplate }: TokenizerOptions): object {
  return {
    tokenizer_class: 'LlamaTokenizer',
    add_bos_token: true,
    add_eos_token: false,
    bos_token: textOf(vocabulary, vocabulary.bosId),
    eos_token: textOf(vocabulary, vocabulary.eosId),
    unk_token: textOf(vocabulary, vocabulary.unknownId),
    pad_token: null,
    clean_up_tokenization_spaces: false,
    model_max_length: contextLength,
    ...(chatTemplate === undefined ? {} : { chat_template: chatTemplate }),
  }
}

function textOf({ pieces }: Vocabulary, id: number): string {
  const piece = pieces[id]
  if (piece === undefined) throw new Error(`the vocabulary has no token ${id}`)
  return piece.text
}

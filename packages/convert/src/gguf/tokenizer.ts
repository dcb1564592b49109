import { Fields } from '../checkpoint/fields.ts'
import { ConvertError } from '../convert-error.ts'
import { byteLevelJson } from '../tokenizer/byte-level.ts'
import { vocabularyTokenizer } from '../tokenizer/model-tokenizer.ts'
import type { ModelTokenizer } from '../tokenizer/model-tokenizer.ts'
import { PIECE_KINDS } from '../tokenizer/pieces.ts'
import type { Piece } from '../tokenizer/pieces.ts'
import type { GgufFile } from './file.ts'

/** The tokenizer in the metadata of a GGUF file, of the kinds `llama` (SentencePiece) and `gpt2` (byte-level BPE). */
export function readGgufTokenizer(
  { metadata }: Pick<GgufFile, 'metadata'>,
  contextLength: number,
  chatTemplate: string | undefined,
): ModelTokenizer {
  const fields = new Fields('the metadata', (key) => metadata.get(`tokenizer.${key}`))
  const template = chatTemplate ?? fields.optionalText('chat_template')
  const kind = fields.optionalText('ggml.model')
  const pieces = piecesOf(fields)
  switch (kind) {
    case 'llama':
      return sentencePiece(fields, pieces, contextLength, template)
    case 'gpt2':
      return byteLevel(fields, pieces, contextLength, template)
    default:
      throw new ConvertError(
        `tokenizers of the kind ${JSON.stringify(kind)} cannot be converted; llama and gpt2 can`,
      )
  }
}

function sentencePiece(
  fields: Fields,
  pieces: readonly Piece[],
  contextLength: number,
  template: string | undefined,
): ModelTokenizer {
  const bosId = tokenId(fields, 'ggml.bos_token_id', pieces) ?? 1
  const eosId = tokenId(fields, 'ggml.eos_token_id', pieces) ?? 2
  const unknownId = tokenId(fields, 'ggml.unknown_token_id', pieces) ?? 0
  const dummyPrefix = fields.optionalBoolean('ggml.add_space_prefix') ?? true
  const addBos = fields.optionalBoolean('ggml.add_bos_token') ?? true
  const vocabulary = { pieces, unknownId, bosId, eosId, dummyPrefix }
  return {
    ...vocabularyTokenizer(vocabulary, contextLength, template),
    addBos,
    eosTokenIds: endTokens(fields, pieces, eosId),
  }
}

function byteLevel(
  fields: Fields,
  pieces: readonly Piece[],
  contextLength: number,
  template: string | undefined,
): ModelTokenizer {
  const merges = textList(fields, 'ggml.merges')
  const preTokenizer = fields.optionalText('ggml.pre') ?? 'default'
  const bosTokenId = tokenId(fields, 'ggml.bos_token_id', pieces)
  const eosId = tokenId(fields, 'ggml.eos_token_id', pieces)
  // llama.cpp's defaults: these two families begin every text with their first token.
  const familyAddsBos = preTokenizer === 'llama-bpe' || preTokenizer === 'tekken'
  const addBos = bosTokenId !== undefined && (fields.optionalBoolean('ggml.add_bos_token') ?? familyAddsBos)
  const json = byteLevelJson({ tokens: pieces, merges, preTokenizer, bosId: bosTokenId, addBos })
  const textOf = (id: number | undefined): string | null =>
    id === undefined ? null : (pieces[id]?.text ?? null)
  const config = {
    tokenizer_class: 'PreTrainedTokenizerFast',
    add_bos_token: addBos,
    bos_token: textOf(bosTokenId),
    eos_token: textOf(eosId),
    clean_up_tokenization_spaces: false,
    model_max_length: contextLength,
    ...(template === undefined ? {} : { chat_template: template }),
  }
  return {
    json: `${JSON.stringify(json)}\n`,
    configJson: `${JSON.stringify(config, null, 2)}\n`,
    bosTokenId,
    eosTokenIds: endTokens(fields, pieces, eosId),
    addBos,
  }
}

function piecesOf(fields: Fields): Piece[] {
  const texts = textList(fields, 'ggml.tokens')
  const scores = numberList(fields, 'ggml.scores', texts.length)
  const types = numberList(fields, 'ggml.token_type', texts.length)
  return texts.map((text, id) => {
    const kind = PIECE_KINDS[types?.[id] ?? 1]
    if (kind === undefined) throw new ConvertError(`the token ${id} is of unknown type ${types?.[id]}`)
    return { text, kind, score: scores?.[id] ?? 0 }
  })
}

/** The file's own, and every control token that llama.cpp takes for an end, since files often name only one. */
function endTokens(fields: Fields, pieces: readonly Piece[], eosId: number | undefined): number[] {
  const said = [
    eosId,
    tokenId(fields, 'ggml.eot_token_id', pieces),
    tokenId(fields, 'ggml.eom_token_id', pieces),
  ]
  const known = pieces.flatMap(({ text, kind }, id) => (kind === 'control' && ENDS.has(text) ? [id] : []))
  const ids = [...new Set([...said.filter((id) => id !== undefined), ...known])]
  if (ids.length === 0) throw new ConvertError('the metadata does not say which token ends a text')
  return ids
}

const ENDS: ReadonlySet<string> = new Set([
  '<|eot_id|>',
  '<|eom_id|>',
  '<|im_end|>',
  '<|end|>',
  '<end_of_turn>',
  '<|endoftext|>',
  '<EOT>',
])

function tokenId(fields: Fields, key: string, pieces: readonly Piece[]): number | undefined {
  const id = fields.optionalNumber(key)
  if (id !== undefined && pieces[id] === undefined) throw fields.wrong(key, 'the id of a token')
  return id
}

function textList(fields: Fields, key: string): string[] {
  const list = fields.value(key)
  if (!Array.isArray(list) || list.length === 0 || !list.every((text) => typeof text === 'string'))
    throw fields.wrong(key, 'a list of texts')
  return list as string[]
}

function numberList(fields: Fields, key: string, length: number): number[] | undefined {
  const list = fields.value(key)
  if (list === undefined) return undefined
  if (!Array.isArray(list) || list.length !== length || !list.every((value) => typeof value === 'number'))
    throw fields.wrong(key, 'a number for each token')
  return list as number[]
}

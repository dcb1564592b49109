import type { TokenizerSpec } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Json } from './decoder-config.ts'

/** The files of a repository that say how its texts begin and end; an empty object for one that is not there. */
export interface TextFiles {
  readonly config: Json
  readonly generationConfig: Json
  readonly tokenizer: Json
  readonly tokenizerConfig: Json
}

export const TOKENIZER = 'tokenizer.json'
export const TOKENIZER_CONFIG = 'tokenizer_config.json'
export const CHAT_TEMPLATE = 'chat_template.jinja'

/** Which token begins a text and which ones end it. Throws `bad_model` where nobody says the latter. @param address for messages. */
export function tokenizerSpec(files: TextFiles, hasChatTemplate: boolean, address: string): TokenizerSpec {
  const { config, generationConfig, tokenizer, tokenizerConfig } = files
  const first = firstToken(tokenizer)
  const bosTokenId =
    first ??
    tokenIds(generationConfig['bos_token_id'])?.[0] ??
    tokenIds(config['bos_token_id'])?.[0] ??
    idOf(tokenizer, tokenizerConfig['bos_token'])
  const named = idOf(tokenizer, tokenizerConfig['eos_token'])
  const eosTokenIds =
    tokenIds(generationConfig['eos_token_id']) ??
    tokenIds(config['eos_token_id']) ??
    tokenIds(textConfig(config)['eos_token_id']) ??
    (named === undefined ? undefined : [named])
  if (eosTokenIds === undefined) {
    const message = `${address}: neither generation_config.json nor config.json nor the tokenizer say which token ends a text.`
    throw new EngineError('bad_model', message, { file: 'generation_config.json' })
  }
  return {
    file: TOKENIZER,
    config: TOKENIZER_CONFIG,
    eosTokenIds,
    addBos: bosTokenId !== undefined && (first !== undefined || tokenizerConfig['add_bos_token'] === true),
    ...(bosTokenId === undefined ? {} : { bosTokenId }),
    ...(hasChatTemplate ? { chatTemplate: CHAT_TEMPLATE } : {}),
  }
}

/** What the tokenizer was made for; absent where it says a number that stands for "any". */
export function contextLimit({ model_max_length: limit }: Json): number | undefined {
  return Number.isSafeInteger(limit) && (limit as number) > 0 ? (limit as number) : undefined
}

/** A number or several. */
function tokenIds(value: unknown): number[] | undefined {
  const ids: unknown[] = Array.isArray(value) ? value : [value]
  return ids.length > 0 && ids.every((id) => Number.isSafeInteger(id) && (id as number) >= 0)
    ? (ids as number[])
    : undefined
}

/** The token that the tokenizer itself puts before a text. */
function firstToken(tokenizer: Json): number | undefined {
  const processor = record(tokenizer['post_processor'])
  const nested = Array.isArray(processor['processors']) ? processor['processors'].map(record) : []
  const template = [processor, ...nested].find(({ type }) => type === 'TemplateProcessing')
  const single = template?.['single']
  const special = record(record(Array.isArray(single) ? single[0] : undefined)['SpecialToken'])
  return tokenIds(record(record(template?.['special_tokens'])[String(special['id'])])['ids'])?.[0]
}

/** The id of a special token, which is written as text or as `{ content }`. */
function idOf(tokenizer: Json, token: unknown): number | undefined {
  const text = typeof token === 'string' ? token : record(token)['content']
  if (typeof text !== 'string') return undefined
  const added = Array.isArray(tokenizer['added_tokens']) ? tokenizer['added_tokens'].map(record) : []
  const id =
    added.find(({ content }) => content === text)?.['id'] ?? record(record(tokenizer['model'])['vocab'])[text]
  return tokenIds(id)?.[0]
}

function textConfig(config: Json): Json {
  return record(config['text_config'])
}

function record(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

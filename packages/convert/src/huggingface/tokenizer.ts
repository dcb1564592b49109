import type { SourceFolder } from '../checkpoint/source-folder.ts'
import { readJson, readText } from '../checkpoint/source-folder.ts'
import { ConvertError } from '../convert-error.ts'
import { vocabularyTokenizer } from '../tokenizer/model-tokenizer.ts'
import type { ModelTokenizer } from '../tokenizer/model-tokenizer.ts'
import { readTokenizer } from '../tokenizer/read-tokenizer.ts'

type Json = Readonly<Record<string, unknown>>

/**
 * The tokenizer of a Hugging Face folder: `tokenizer.json` and `tokenizer_config.json` as they are, with the chat template put into
 * the latter where it has a file of its own; or a SentencePiece `tokenizer.model`, where there is nothing newer.
 */
export function readHuggingFaceTokenizer(
  folder: SourceFolder,
  contextLength: number,
  chatTemplate: string | undefined,
): ModelTokenizer {
  const config = optionalJson(folder, 'tokenizer_config.json')
  const template = chatTemplate ?? templateOf(folder, config)
  const eosTokenIds = endTokens(folder)
  if (!folder.has(TOKENIZER)) return { ...fromSentencePiece(folder, contextLength, template), ...eosTokenIds }
  const json = readText(folder, TOKENIZER)
  const tokenizer = asRecord(readJson(folder, TOKENIZER))
  const first = firstToken(tokenizer)
  const bosTokenId = first ?? idOf(tokenizer, tokenText(config['bos_token']))
  const written = { ...config, chat_template: template }
  return {
    json,
    configJson: `${JSON.stringify(written, null, 2)}\n`,
    bosTokenId,
    addBos: bosTokenId !== undefined && (first !== undefined || config['add_bos_token'] === true),
    eosTokenIds: eosTokenIds.eosTokenIds ?? eosOf(tokenizer, config),
  }
}

function fromSentencePiece(
  folder: SourceFolder,
  contextLength: number,
  template: string | undefined,
): ModelTokenizer {
  if (!folder.has(SENTENCEPIECE)) {
    const message = `${folder.name} has neither ${TOKENIZER} nor ${SENTENCEPIECE}`
    throw new ConvertError(message, { kind: 'missing', file: TOKENIZER })
  }
  return vocabularyTokenizer(readTokenizer(folder.read(SENTENCEPIECE)), contextLength, template)
}

/** Ids that end an answer: what is said for generation, else for the model; a number or several. */
function endTokens(folder: SourceFolder): { readonly eosTokenIds?: readonly number[] } {
  for (const file of ['generation_config.json', 'config.json']) {
    const eos = optionalJson(folder, file)['eos_token_id']
    const ids = Array.isArray(eos) ? eos : [eos]
    if (ids.length > 0 && ids.every((id) => Number.isSafeInteger(id) && id >= 0))
      return { eosTokenIds: ids as number[] }
  }
  return {}
}

function eosOf(tokenizer: Json, config: Json): number[] {
  const id = idOf(tokenizer, tokenText(config['eos_token']))
  if (id === undefined)
    throw new ConvertError('neither the configurations nor the tokenizer say which token ends a text')
  return [id]
}

/** Newer folders keep the template in a file; older ones in the configuration, as one text or as several with names. */
function templateOf(folder: SourceFolder, config: Json): string | undefined {
  if (folder.has(TEMPLATE)) return readText(folder, TEMPLATE)
  const template = config['chat_template']
  if (typeof template === 'string') return template
  if (!Array.isArray(template)) return undefined
  const named = template.map(asRecord)
  const chosen = named.find((entry) => entry['name'] === 'default') ?? named[0]
  return typeof chosen?.['template'] === 'string' ? chosen['template'] : undefined
}

/** The token that the tokenizer itself puts before a text. */
function firstToken(tokenizer: Json): number | undefined {
  const processor = asRecord(tokenizer['post_processor'])
  const nested = Array.isArray(processor['processors']) ? processor['processors'].map(asRecord) : []
  const template = [processor, ...nested].find(({ type }) => type === 'TemplateProcessing')
  const single = template?.['single']
  const special = asRecord(asRecord(Array.isArray(single) ? single[0] : undefined)['SpecialToken'])
  const ids = asRecord(asRecord(template?.['special_tokens'])[String(special['id'])])['ids']
  const id: unknown = Array.isArray(ids) ? ids[0] : undefined
  return typeof id === 'number' ? id : undefined
}

function idOf(tokenizer: Json, text: string | undefined): number | undefined {
  if (text === undefined) return undefined
  const added = Array.isArray(tokenizer['added_tokens']) ? tokenizer['added_tokens'].map(asRecord) : []
  const id =
    added.find(({ content }) => content === text)?.['id'] ??
    asRecord(asRecord(tokenizer['model'])['vocab'])[text]
  return typeof id === 'number' ? id : undefined
}

/** A special token is written as text or as `{ content }`. */
function tokenText(token: unknown): string | undefined {
  const content = typeof token === 'string' ? token : asRecord(token)['content']
  return typeof content === 'string' ? content : undefined
}

function optionalJson(folder: SourceFolder, file: string): Json {
  return folder.has(file) ? asRecord(readJson(folder, file)) : {}
}

function asRecord(value: unknown): Json {
  return typeof value === 'object' && value !== null ? (value as Json) : {}
}

const TOKENIZER = 'tokenizer.json'
const SENTENCEPIECE = 'tokenizer.model'
const TEMPLATE = 'chat_template.jinja'

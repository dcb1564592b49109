import type { ChatMessage, Usage } from '@tabserve/protocol'
import { toWireError } from '@tabserve/protocol'
import type { GenerationResult } from '../../generation.ts'
import type { AnswerEvent } from '../answer-stream.ts'
import { answerEvents, begun, wholeAnswer } from '../answer-stream.ts'
import type { ServedClient } from '../served-client.ts'
import type { CallOptions, Stream } from './chat-completions.ts'
import { contentOf, roleOf } from './chat-messages.ts'
import type { FieldRules, Fields } from './fields.ts'
import {
  flagField,
  isEmptyList,
  isOneOf,
  never,
  readFields,
  textField,
  unsupported,
  wrong,
} from './fields.ts'
import { newIdentity, newId } from './identity.ts'
import type {
  OutputMessage,
  ResponseEventBody,
  ResponseObject,
  ResponseParams,
  ResponseStreamEvent,
  ResponseUsage,
} from './response-shapes.ts'
import { EXTRA_RULES, IGNORED_RULES, generateOptions, inTheirWords } from './sampling-fields.ts'

const RULES: FieldRules = {
  model: 'used',
  input: 'used',
  instructions: 'used',
  stream: 'used',
  max_output_tokens: 'used',
  temperature: 'used',
  top_p: 'used',
  ...EXTRA_RULES,
  ...IGNORED_RULES,
  metadata: 'used',
  stream_options: 'ignored',
  text: isPlainText,
  tools: isEmptyList,
  tool_choice: isOneOf('none', 'auto'),
  parallel_tool_calls: isOneOf(true, false),
  truncation: isOneOf('disabled'),
  background: isOneOf(false),
  include: isEmptyList,
  top_logprobs: isOneOf(0),
  // They continue what a server has kept; we keep nothing.
  previous_response_id: never,
  conversation: never,
  prompt: never,
  reasoning: never,
  max_tool_calls: never,
}

/** OpenAI's `responses`, for text. Nothing is kept: a conversation is sent whole each time, and what was read before is found in the KV cache. */
export class Responses {
  readonly #client: ServedClient

  constructor(client: ServedClient) {
    this.#client = client
  }

  create(
    params: ResponseParams & { stream: true },
    options?: CallOptions,
  ): Promise<Stream<ResponseStreamEvent>>
  create(params: ResponseParams & { stream?: false | null }, options?: CallOptions): Promise<ResponseObject>
  create(params: ResponseParams, options?: CallOptions): Promise<ResponseObject | Stream<ResponseStreamEvent>>
  async create(
    params: ResponseParams,
    { signal }: CallOptions = {},
  ): Promise<ResponseObject | Stream<ResponseStreamEvent>> {
    const fields = readFields(params, RULES, 'responses')
    const isStream = flagField(fields, 'stream')
    const begin = emptyResponse(fields)
    try {
      const generation = this.#client.generate({
        ...generateOptions(fields),
        messages: messagesOf(fields),
        model: begin.model,
        ...(signal === undefined ? {} : { signal }),
      })
      if (!isStream) return responseOf(begin, newId('msg'), await wholeAnswer(generation, signal))
      return await begun(numbered(events(answerEvents(generation, signal), begin)))
    } catch (error) {
      throw inTheirWords(error, fields)
    }
  }
}

function emptyResponse(fields: Fields): ResponseObject {
  const { id, created, model } = newIdentity('resp', textField(fields, 'model'))
  const number = (name: string) => (typeof fields[name] === 'number' ? fields[name] : null)
  return {
    id,
    object: 'response',
    created_at: created,
    status: 'in_progress',
    model,
    output: [],
    output_text: '',
    error: null,
    incomplete_details: null,
    instructions: instructionsOf(fields) ?? null,
    metadata: metadataOf(fields),
    temperature: number('temperature') ?? 1,
    top_p: number('top_p') ?? 1,
    max_output_tokens: number('max_output_tokens'),
    parallel_tool_calls: false,
    access_programs: null,
    tool_choice: 'none',
    tools: [],
  }
}

function messagesOf(fields: Fields): ChatMessage[] {
  const { input } = fields
  const instructions = instructionsOf(fields)
  const first: ChatMessage[] = instructions === undefined ? [] : [{ role: 'system', content: instructions }]
  if (typeof input === 'string') return [...first, { role: 'user', content: input }]
  if (!Array.isArray(input) || input.length === 0)
    throw wrong('input', 'must be a text or a list of messages.')
  const given = input.map((item: unknown, index): ChatMessage => {
    const param = `input[${index}]`
    const { type = 'message', role, content } = (item ?? {}) as Record<string, unknown>
    if (type !== 'message') throw unsupported(param, `${param} is no message; tabserve reads messages only.`)
    const text = contentOf(content, `${param}.content`, ['input_text', 'output_text'])
    return { role: roleOf(role, param), content: text }
  })
  return [...first, ...given]
}

function responseOf(begin: ResponseObject, messageId: string, result: GenerationResult): ResponseObject {
  const isWhole = result.finishReason === 'stop'
  const status = isWhole ? 'completed' : 'incomplete'
  return {
    ...begin,
    status,
    incomplete_details: isWhole ? null : { reason: 'max_output_tokens' },
    output: [messageOf(messageId, status, result.text)],
    output_text: result.text,
    usage: usageOf(result.usage),
  }
}

function messageOf(id: string, status: OutputMessage['status'], text?: string): OutputMessage {
  const content = text === undefined ? [] : [partOf(text)]
  return { id, type: 'message', role: 'assistant', status, content }
}

function partOf(text: string): OutputMessage['content'][number] {
  return { type: 'output_text', text, annotations: [] }
}

/** What fails before the first event is thrown; what fails later is told in the stream, as OpenAI does, unless it was the caller's signal. */
async function* events(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): AsyncGenerator<ResponseEventBody, void, void> {
  const id = newId('msg')
  const place = { item_id: id, output_index: 0, content_index: 0 }
  let hasBegun = false
  function* beginning(): Generator<ResponseEventBody, void, void> {
    if (hasBegun) return
    hasBegun = true
    yield { type: 'response.created', response: begin }
    yield { type: 'response.in_progress', response: begin }
    yield { type: 'response.output_item.added', output_index: 0, item: messageOf(id, 'in_progress') }
    yield { type: 'response.content_part.added', ...place, part: partOf('') }
  }
  try {
    for await (const event of answer) {
      yield* beginning()
      if (event.type === 'end') yield* ending(responseOf(begin, id, event.result))
      else if (event.text !== '')
        yield { type: 'response.output_text.delta', ...place, delta: event.text, logprobs: [] }
    }
  } catch (error) {
    const { code, message } = toWireError(error, 'backend_failed')
    if (!hasBegun || code === 'aborted') throw error
    const failed = { status: 'failed' as const, error: { code: 'server_error' as const, message } }
    yield { type: 'response.failed', response: { ...begin, ...failed } }
  }
}

function* ending(response: ResponseObject): Generator<ResponseEventBody, void, void> {
  const [item] = response.output
  if (item === undefined) return
  const place = { item_id: item.id, output_index: 0, content_index: 0 }
  const text = response.output_text
  yield { type: 'response.output_text.done', ...place, text, logprobs: [] }
  yield { type: 'response.content_part.done', ...place, part: partOf(text) }
  yield { type: 'response.output_item.done', output_index: 0, item }
  yield { type: response.status === 'completed' ? 'response.completed' : 'response.incomplete', response }
}

async function* numbered(
  events: AsyncIterable<ResponseEventBody>,
): AsyncGenerator<ResponseStreamEvent, void, void> {
  let number = 0
  for await (const event of events) yield { ...event, sequence_number: number++ }
}

function usageOf({ promptTokens, cachedTokens, completionTokens }: Usage): ResponseUsage {
  return {
    input_tokens: promptTokens,
    input_tokens_details: { cached_tokens: cachedTokens, cache_write_tokens: 0 },
    output_tokens: completionTokens,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: promptTokens + completionTokens,
  }
}

function instructionsOf({ instructions }: Fields): string | undefined {
  if (instructions === undefined || typeof instructions === 'string') return instructions
  throw wrong('instructions', 'must be a text.')
}

function metadataOf({ metadata = {} }: Fields): Record<string, string> {
  if (typeof metadata === 'object' && metadata !== null) return metadata as Record<string, string>
  throw wrong('metadata', 'must be an object.')
}

function isPlainText(value: unknown): boolean {
  const { format, verbosity } = value as { format?: { type?: unknown } | null; verbosity?: unknown }
  return (format?.type ?? 'text') === 'text' && (verbosity ?? 'medium') === 'medium'
}

import type { ChatMessage } from '@tabserve/protocol'
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
import { responseStream } from './response-events.ts'
import { responseOf } from './response-object.ts'
import type { ResponseObject, ResponseParams, ResponseStreamEvent } from './response-shapes.ts'
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
      return await begun(responseStream(answerEvents(generation, signal), begin))
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

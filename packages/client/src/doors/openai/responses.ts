import { answerEvents, begun } from '../answer-stream.ts'
import type { ServedClient } from '../served-client.ts'
import type { CallOptions, Stream } from './chat-completions.ts'
import type { FieldRules, Fields } from './fields.ts'
import { flagField, isEmptyList, isOneOf, never, readFields, textField, wrong } from './fields.ts'
import { newIdentity } from './identity.ts'
import { responseStream, wholeResponse } from './response-events.ts'
import { textStructureOf } from './response-format.ts'
import { instructionsOf, responseMessages } from './response-input.ts'
import type { ResponseObject, ResponseParams, ResponseStreamEvent } from './response-shapes.ts'
import { EXTRA_RULES, IGNORED_RULES, generateOptions, inTheirWords } from './sampling-fields.ts'
import type { ResponseTool } from './tool-fields.ts'
import { toolsOf } from './tool-fields.ts'

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
  text: 'used',
  tools: 'used',
  tool_choice: 'used',
  parallel_tool_calls: 'used',
  truncation: 'used',
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
        ...textStructureOf(fields),
        ...toolsOf(fields, 'responses'),
        ...truncationOf(fields),
        messages: responseMessages(fields),
        model: begin.model,
        ...(signal === undefined ? {} : { signal }),
      })
      const answer = answerEvents(generation, signal)
      return isStream ? await begun(responseStream(answer, begin)) : await wholeResponse(answer, begin)
    } catch (error) {
      throw inTheirWords(error, fields)
    }
  }
}

function emptyResponse(fields: Fields): ResponseObject {
  const { id, created, model } = newIdentity('resp', textField(fields, 'model'))
  const number = (name: string) => (typeof fields[name] === 'number' ? fields[name] : null)
  const { tools, tool_choice: choice } = fields
  // What is wrong with them is said when they are read.
  const given = (Array.isArray(tools) ? tools : []) as ResponseTool[]
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
    parallel_tool_calls: fields['parallel_tool_calls'] !== false,
    access_programs: null,
    tool_choice: (choice ?? 'auto') as ResponseObject['tool_choice'],
    tools: given.map((tool) => ({ ...tool, strict: tool.strict ?? null })),
  }
}

function truncationOf({ truncation }: Fields): { contextOverflow?: 'truncate-start' } {
  if (truncation === undefined || truncation === 'disabled') return {}
  if (truncation === 'auto') return { contextOverflow: 'truncate-start' }
  throw wrong('truncation', 'must be auto or disabled.')
}

function metadataOf({ metadata = {} }: Fields): Record<string, string> {
  if (typeof metadata === 'object' && metadata !== null) return metadata as Record<string, string>
  throw wrong('metadata', 'must be an object.')
}

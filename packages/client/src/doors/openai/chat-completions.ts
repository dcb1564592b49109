import type { DeltaEvent } from '@tabserve/protocol'
import type { Choice, GenerationResult } from '../../generation.ts'
import type { AnswerEvent } from '../answer-stream.ts'
import { answerEvents, begun, wholeAnswer } from '../answer-stream.ts'
import type { ServedClient } from '../served-client.ts'
import { chatCall, chatCallDelta } from './chat-calls.ts'
import { chatLogprobs } from './chat-logprobs.ts'
import { chatMessages } from './chat-messages.ts'
import type { ChatCompletion, ChatCompletionChunk, ChatCompletionParams } from './chat-shapes.ts'
import type { FieldRules, Fields } from './fields.ts'
import { flagField, isEmptyList, isOneOf, never, readFields, textField, wrong } from './fields.ts'
import type { Identity } from './identity.ts'
import { newIdentity } from './identity.ts'
import { structureOf } from './response-format.ts'
import {
  EXTRA_RULES,
  IGNORED_RULES,
  SAMPLING_RULES,
  generateOptions,
  inTheirWords,
} from './sampling-fields.ts'
import { wantsUsage } from './stream-options.ts'
import { toolsOf } from './tool-fields.ts'
import { TokenTexts } from './token-texts.ts'
import { completionUsage, finishReason } from './usage.ts'

/** The second argument of calls. */
export interface CallOptions {
  /** Ends the computing; the call then fails with `aborted`. */
  readonly signal?: AbortSignal
}

/** Leaving the loop over it stops the computing. */
export type Stream<Chunk> = AsyncIterableIterator<Chunk, void, void>

const RULES: FieldRules = {
  model: 'used',
  messages: 'used',
  stream: 'used',
  stream_options: 'used',
  max_completion_tokens: 'used',
  ...SAMPLING_RULES,
  logprobs: 'used',
  top_logprobs: 'used',
  ...EXTRA_RULES,
  ...IGNORED_RULES,
  response_format: 'used',
  tools: 'used',
  tool_choice: 'used',
  parallel_tool_calls: 'used',
  chat_template_kwargs: 'used',
  // OpenAI's old words for tools.
  functions: isEmptyList,
  function_call: isOneOf('none', 'auto'),
  modalities: (value) => Array.isArray(value) && value.every((modality) => modality === 'text'),
  prediction: never,
  reasoning_effort: isOneOf('none'),
  verbosity: isOneOf('medium'),
  add_generation_prompt: isOneOf(true),
  continue_final_message: isOneOf(false),
  audio: never,
  web_search_options: never,
}

/** OpenAI's `chat.completions`. Rejects with `EngineError`; everything that is wrong with a request rejects `create`, also of a stream. */
export class ChatCompletions {
  readonly #client: ServedClient

  constructor(client: ServedClient) {
    this.#client = client
  }

  create(
    params: ChatCompletionParams & { stream: true },
    options?: CallOptions,
  ): Promise<Stream<ChatCompletionChunk>>
  create(
    params: ChatCompletionParams & { stream?: false | null },
    options?: CallOptions,
  ): Promise<ChatCompletion>
  create(
    params: ChatCompletionParams,
    options?: CallOptions,
  ): Promise<ChatCompletion | Stream<ChatCompletionChunk>>
  async create(
    params: ChatCompletionParams,
    options: CallOptions = {},
  ): Promise<ChatCompletion | Stream<ChatCompletionChunk>> {
    const fields = readFields(params, RULES, 'chat.completions')
    const identity = newIdentity('chatcmpl', textField(fields, 'model'))
    const texts = new TokenTexts(this.#client, identity.model)
    const { signal } = options
    const isStream = flagField(fields, 'stream')
    const withUsage = wantsUsage(fields)
    try {
      const generation = this.#client.generate({
        ...requestOf(fields),
        model: identity.model,
        ...(signal === undefined ? {} : { signal }),
      })
      if (!isStream) return await completionOf(await wholeAnswer(generation, signal), identity, texts)
      const events = answerEvents(generation, signal)
      return await begun(chunks(events, identity, texts, withUsage))
    } catch (error) {
      throw inTheirWords(error, fields)
    }
  }
}

function requestOf(fields: Fields) {
  const { max_completion_tokens: most, top_logprobs: numLikeliest, ...others } = fields
  const logprobs = flagField(fields, 'logprobs')
  if (numLikeliest !== undefined && !logprobs) throw wrong('top_logprobs', 'needs logprobs: true.')
  return {
    ...generateOptions({
      ...others,
      ...(most === undefined ? {} : { max_tokens: most }),
      ...(logprobs ? { top_logprobs: numLikeliest ?? 0 } : {}),
    }),
    ...structureOf(fields),
    ...toolsOf(fields, 'chat'),
    separateReasoning: true,
    messages: chatMessages(fields),
  }
}

async function completionOf(
  { choices, usage }: GenerationResult,
  identity: Identity,
  texts: TokenTexts,
): Promise<ChatCompletion> {
  const choiceOf = async (choice: Choice, index: number) => ({
    index,
    message: messageOf(choice),
    finish_reason: finishReason(choice.finishReason),
    logprobs: await logprobsOf(choice.logprobs, texts),
  })
  return {
    ...identity,
    object: 'chat.completion',
    choices: await Promise.all(choices.map(choiceOf)),
    usage: completionUsage([usage]),
  }
}

function messageOf({ text, toolCalls, reasoning }: Choice): ChatCompletion['choices'][number]['message'] {
  return {
    role: 'assistant',
    content: text === '' && toolCalls.length > 0 ? null : text,
    refusal: null,
    ...(toolCalls.length === 0 ? {} : { tool_calls: toolCalls.map(chatCall) }),
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
  }
}

async function* chunks(
  events: AsyncIterable<AnswerEvent>,
  identity: Identity,
  texts: TokenTexts,
  withUsage: boolean,
): AsyncGenerator<ChatCompletionChunk, void, void> {
  const chunk = (choices: ChatCompletionChunk['choices']): ChatCompletionChunk => ({
    ...identity,
    object: 'chat.completion.chunk',
    choices,
    ...(withUsage ? { usage: null } : {}),
  })
  const greeted = new Set<number>()
  const greeting = (index: number) => {
    greeted.add(index)
    return chunk([{ index, delta: { role: 'assistant', content: '' }, finish_reason: null, logprobs: null }])
  }
  for await (const event of events) {
    if (event.type === 'delta') {
      const { choice: index } = event
      if (!greeted.has(index)) yield greeting(index)
      const logprobs = await logprobsOf(event.logprobs, texts)
      const delta = deltaOf(event)
      if (Object.keys(delta).length > 0 || logprobs !== null)
        yield chunk([{ index, delta, finish_reason: null, logprobs }])
      continue
    }
    const { choices, usage } = event.result
    for (const [index, choice] of choices.entries()) {
      if (!greeted.has(index)) yield greeting(index)
      yield chunk([{ index, delta: {}, finish_reason: finishReason(choice.finishReason), logprobs: null }])
    }
    if (withUsage) yield { ...chunk([]), usage: completionUsage([usage]) }
  }
}

function deltaOf({
  text,
  toolCalls,
  reasoning,
}: DeltaEvent): ChatCompletionChunk['choices'][number]['delta'] {
  return {
    ...(reasoning === undefined ? {} : { reasoning_content: reasoning }),
    ...(text === '' ? {} : { content: text }),
    ...(toolCalls === undefined ? {} : { tool_calls: toolCalls.map(chatCallDelta) }),
  }
}

async function logprobsOf(
  logprobs: Choice['logprobs'],
  texts: TokenTexts,
): Promise<ChatCompletion['choices'][number]['logprobs']> {
  return logprobs === undefined ? null : { content: await chatLogprobs(logprobs, texts), refusal: null }
}

import { EngineError } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'
import type { GenerationResult } from '../../generation.ts'
import type { AnswerEvent } from '../answer-stream.ts'
import { answerEvents, begun, merged, wholeAnswer } from '../answer-stream.ts'
import type { ServedClient } from '../served-client.ts'
import type { CallOptions, Stream } from './chat-completions.ts'
import { CompletionLogprobWriter } from './completion-logprobs.ts'
import { promptText, promptsOf } from './completion-prompts.ts'
import type { Completion, CompletionChoice, CompletionChunk, CompletionParams } from './completion-shapes.ts'
import type { FieldRules, Fields } from './fields.ts'
import { flagField, never, readFields, textField, unsupported } from './fields.ts'
import type { Identity } from './identity.ts'
import { newIdentity } from './identity.ts'
import {
  EXTRA_RULES,
  IGNORED_RULES,
  SAMPLING_RULES,
  generateOptions,
  inTheirWords,
} from './sampling-fields.ts'
import { wantsUsage } from './stream-options.ts'
import { TokenTexts } from './token-texts.ts'
import { completionUsage, textFinishReason } from './usage.ts'

const RULES: FieldRules = {
  model: 'used',
  prompt: 'used',
  stream: 'used',
  stream_options: 'used',
  ...SAMPLING_RULES,
  best_of: 'used',
  logprobs: 'used',
  echo: 'used',
  ...EXTRA_RULES,
  ...IGNORED_RULES,
  suffix: never,
  response_format: (value) => (value as { type?: unknown }).type === 'text',
}

const DEFAULT_MAX_TOKENS = 16

/** OpenAI's `completions`. Rejects with `EngineError`; everything that is wrong with a request rejects `create`, also of a stream. */
export class Completions {
  readonly #client: ServedClient

  constructor(client: ServedClient) {
    this.#client = client
  }

  create(params: CompletionParams & { stream: true }, options?: CallOptions): Promise<Stream<CompletionChunk>>
  create(params: CompletionParams & { stream?: false | null }, options?: CallOptions): Promise<Completion>
  create(params: CompletionParams, options?: CallOptions): Promise<Completion | Stream<CompletionChunk>>
  async create(
    params: CompletionParams,
    options: CallOptions = {},
  ): Promise<Completion | Stream<CompletionChunk>> {
    const fields = readFields(params, RULES, 'completions')
    const call = await this.#prepare(fields, options.signal)
    try {
      const generations = call.requests.map((request) => this.#client.generate(request))
      if (flagField(fields, 'stream')) {
        const streams = generations.map((generation) => answerEvents(generation, call.signal))
        return await begun(chunks(merged(streams, call.stop), call))
      }
      return await completionOf(
        await Promise.all(generations.map((generation) => wholeAnswer(generation, call.signal))),
        call,
      )
    } catch (error) {
      call.stop() // of several prompts the others
      throw inTheirWords(error, fields)
    }
  }

  async #prepare(fields: Fields, signal: AbortSignal | undefined): Promise<Call> {
    const { logprobs, best_of: bestOf, n = 1, ...others } = fields
    flagField(fields, 'stream')
    if (bestOf !== undefined && bestOf !== n)
      throw unsupported('best_of', 'best_of is supported where it equals n only.')
    const echo = flagField(fields, 'echo')
    if (echo && logprobs !== undefined)
      throw unsupported('echo', 'echo together with logprobs is not supported.')
    const model = textField(fields, 'model')
    const texts = new TokenTexts(this.#client, model)
    const prompts = promptsOf(fields)
    const options = generateOptions({ max_tokens: DEFAULT_MAX_TOKENS, n, ...others })
    const likeliest = logprobs === undefined ? {} : generateOptions({ top_logprobs: logprobs })
    const left = new AbortController()
    const both = signal === undefined ? left.signal : AbortSignal.any([signal, left.signal])
    return {
      identity: newIdentity('cmpl', model),
      texts,
      withUsage: wantsUsage(fields),
      // Their number is checked by the engine; indices of choices count it.
      numChoices: Number(n),
      before: echo ? await Promise.all(prompts.map((prompt) => promptText(prompt, texts))) : [],
      requests: prompts.map((prompt) => ({ ...options, ...likeliest, ...prompt, model, signal: both })),
      signal: both,
      stop: () => left.abort(new EngineError('aborted', 'The stream was left.')),
    }
  }
}

interface Call {
  readonly identity: Identity
  readonly texts: TokenTexts
  readonly withUsage: boolean
  readonly numChoices: number
  /** What `echo` puts in front of the answers to each prompt. */
  readonly before: readonly string[]
  readonly requests: readonly GenerateOptions[]
  readonly signal: AbortSignal
  /** Ends all of them; harmless afterwards. */
  stop(): void
}

async function completionOf(results: readonly GenerationResult[], call: Call): Promise<Completion> {
  const choices = results.flatMap((result, prompt) => {
    const before = call.before[prompt] ?? ''
    return result.choices.map(async (choice, index): Promise<CompletionChoice> => {
      const writer = new CompletionLogprobWriter(call.texts, before.length)
      return {
        index: prompt * call.numChoices + index,
        text: before + choice.text,
        finish_reason: textFinishReason(choice.finishReason),
        logprobs: await writer.write(choice.logprobs),
      }
    })
  })
  return {
    ...call.identity,
    object: 'text_completion',
    choices: await Promise.all(choices),
    usage: completionUsage(results.map(({ usage }) => usage)),
  }
}

async function* chunks(
  events: AsyncIterable<readonly [prompt: number, event: AnswerEvent]>,
  { identity, texts, withUsage, numChoices, before }: Call,
): AsyncGenerator<CompletionChunk, void, void> {
  const chunk = (choices: CompletionChunk['choices']): CompletionChunk => ({
    ...identity,
    object: 'text_completion',
    choices,
    ...(withUsage ? { usage: null } : {}),
  })
  const writers = new Map<number, CompletionLogprobWriter>()
  const results: GenerationResult[] = []
  for await (const [prompt, event] of events) {
    const echoed = before[prompt] ?? ''
    const indexOf = (choice: number) => prompt * numChoices + choice
    const echoOnce = (index: number) => {
      if (writers.has(index)) return ''
      writers.set(index, new CompletionLogprobWriter(texts, echoed.length))
      return echoed
    }
    if (event.type === 'delta') {
      const index = indexOf(event.choice)
      const text = echoOnce(index) + event.text
      const logprobs = (await writers.get(index)?.write(event.logprobs)) ?? null
      if (text !== '' || logprobs !== null) yield chunk([{ index, text, finish_reason: null, logprobs }])
      continue
    }
    results.push(event.result)
    for (const [choice, end] of event.result.choices.entries()) {
      const index = indexOf(choice)
      const ended = { finish_reason: textFinishReason(end.finishReason), logprobs: null }
      yield chunk([{ index, text: echoOnce(index), ...ended }])
    }
  }
  if (withUsage) yield { ...chunk([]), usage: completionUsage(results.map(({ usage }) => usage)) }
}

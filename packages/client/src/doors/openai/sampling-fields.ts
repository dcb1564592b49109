import type { StructuredOutputs } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { GenerateOptions } from '../../client-options.ts'
import type { FieldRules, Fields } from './fields.ts'
import { isEmptyList, isOneOf } from './fields.ts'

/** OpenAI's and vLLM's names of options that we have under another name or the same. */
const OPTION_OF = {
  temperature: 'temperature',
  top_p: 'topP',
  n: 'n',
  stop: 'stop',
  seed: 'seed',
  presence_penalty: 'presencePenalty',
  frequency_penalty: 'frequencyPenalty',
  logit_bias: 'logitBias',
  max_tokens: 'maxTokens',
  max_completion_tokens: 'maxTokens',
  max_output_tokens: 'maxTokens',
  top_logprobs: 'logprobs',
  // vLLM's
  top_k: 'topK',
  min_p: 'minP',
  repetition_penalty: 'repetitionPenalty',
  min_tokens: 'minTokens',
  ignore_eos: 'ignoreEos',
  stop_token_ids: 'stopTokenIds',
  allowed_token_ids: 'allowedTokenIds',
  cache_salt: 'cacheSalt',
  structured_outputs: 'structuredOutputs',
  chat_template_kwargs: 'templateOptions',
  priority: 'priority',
  // ours
  deadlineMs: 'timeoutMs',
  session: 'session',
} as const satisfies Readonly<Record<string, keyof GenerateOptions>>

/** Fields that are read by themselves, and the options that come of them. */
const OPTION_OF_READ = {
  tools: 'tools',
  tool_choice: 'toolChoice',
  parallel_tool_calls: 'parallelToolCalls',
  response_format: 'structuredOutputs',
  text: 'structuredOutputs',
} as const satisfies Readonly<Record<string, keyof GenerateOptions>>

/** How the next token is chosen and when to stop, in both endpoints; `null` is as good as absent. */
export interface SamplingFields {
  stream?: boolean | null
  stream_options?: { include_usage?: boolean } | null
  temperature?: number | null
  top_p?: number | null
  /** Answers to each prompt. */
  n?: number | null
  stop?: string | string[] | null
  seed?: number | null
  presence_penalty?: number | null
  frequency_penalty?: number | null
  /** Token id → what is added to its logit. */
  logit_bias?: Record<string, number> | null
  user?: string
}

/** What a call takes besides OpenAI's own fields. */
export interface ServingExtras {
  readonly top_k?: number
  readonly min_p?: number
  readonly repetition_penalty?: number
  readonly min_tokens?: number
  readonly ignore_eos?: boolean
  readonly stop_token_ids?: readonly number[]
  readonly allowed_token_ids?: readonly number[]
  readonly cache_salt?: string
  /** vLLM's; as our own option. */
  readonly structured_outputs?: StructuredOutputs
  /** Lower goes first. Default 0. */
  readonly priority?: number
  /** Milliseconds until the last word; a text that has begun then ends with `finish_reason: 'length'`. */
  readonly deadlineMs?: number
  /** Id of an open session of the model (`client.session`): the request brings only what is new in it, and it remembers the answer. */
  readonly session?: string
}

export const EXTRA_RULES = {
  top_k: 'used',
  min_p: 'used',
  repetition_penalty: 'used',
  min_tokens: 'used',
  ignore_eos: 'used',
  stop_token_ids: 'used',
  allowed_token_ids: 'used',
  cache_salt: 'used',
  structured_outputs: 'used',
  priority: 'used',
  deadlineMs: 'used',
  session: 'used',
  // vLLM's, with the values that ask for what is done anyway
  bad_words: isEmptyList,
  include_stop_str_in_output: isOneOf(false),
  skip_special_tokens: isOneOf(true),
} as const satisfies FieldRules

/** How the next token is chosen and when to stop, in every endpoint. */
export const SAMPLING_RULES = {
  temperature: 'used',
  top_p: 'used',
  n: 'used',
  stop: 'used',
  seed: 'used',
  presence_penalty: 'used',
  frequency_penalty: 'used',
  logit_bias: 'used',
  max_tokens: 'used',
} as const satisfies FieldRules

/** Fields that steer accounts and machines that we do not have. */
export const IGNORED_RULES = {
  user: 'ignored',
  metadata: 'ignored',
  store: 'ignored',
  service_tier: 'ignored',
  safety_identifier: 'ignored',
  prompt_cache_key: 'ignored',
  prompt_cache_retention: 'ignored',
} as const satisfies FieldRules

/** The fields under our names. Their values are whatever the caller wrote: the engine checks them all. */
export function generateOptions(fields: Fields): Omit<GenerateOptions, 'model'> {
  const renamed = Object.entries(fields).flatMap(([name, value]) =>
    isRenamed(name) ? [[OPTION_OF[name], value] as const] : [],
  )
  return Object.fromEntries(renamed)
}

/** An error about one of our options, told of the field that it came from. */
export function inTheirWords(error: unknown, fields: Fields): unknown {
  if (!(error instanceof EngineError) || error.param === undefined) return error
  const option = error.param.replace(/\[.*/, '')
  const optionOf: Readonly<Record<string, string>> = { ...OPTION_OF, ...OPTION_OF_READ }
  // Those that were given come first: a default of ours has a field, too.
  const names = Object.keys({ ...fields, ...OPTION_OF_READ })
  const field = names.find((name) => Object.hasOwn(optionOf, name) && optionOf[name] === option)
  if (field === undefined || field === option) return error
  const { code, message, param } = error
  return new EngineError(code, message.replace(option, field), {
    param: param.replace(option, field),
    cause: error,
  })
}

function isRenamed(name: string): name is keyof typeof OPTION_OF {
  return Object.hasOwn(OPTION_OF, name)
}

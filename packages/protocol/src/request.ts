import type { ToolCall, ToolChoice, ToolDefinition } from './tool.ts'
import type { OneShotRequest } from './one-shot.ts'

/** What can be asked of a model, told apart by `task`. */
export type Request = GenerateRequest | OneShotRequest

/** One message of a conversation. */
export interface ChatMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'tool'
  readonly content: string
  /** Of `assistant`: the calls it made, before or in place of text. */
  readonly toolCalls?: readonly ToolCall[]
  /** Of `tool`: whose result `content` is. */
  readonly toolCallId?: string
  /** Of `assistant`: what it thought before it answered; most templates leave it out of later prompts. */
  readonly reasoning?: string
}

/** Asks a decoder to continue a prompt or to answer a conversation. Exactly one of `prompt`, `promptTokens` and `messages`. */
export interface GenerateRequest extends SamplingParams, SchedulingParams {
  readonly task: 'generate'
  /** `name` or `name@version` of a loaded model. */
  readonly model: string
  readonly prompt?: string
  /** The prompt as token ids, taken as it is: nothing is added in front. */
  readonly promptTokens?: readonly number[]
  /** Rendered with the model's chat template. */
  readonly messages?: readonly ChatMessage[]
  /** Answers to one prompt, 1 to 64; they share the prompt's KV. Answer `i` is what the seed `seed + i` gives alone. Default 1. */
  readonly n?: number
  /** Not together with `ignoreEos`. Default: anything may be said. */
  readonly structuredOutputs?: StructuredOutputs
  /** What the model may ask the caller to do; at most 128, with `messages` only. */
  readonly tools?: readonly ToolDefinition[]
  /** Default `auto` where there are tools. */
  readonly toolChoice?: ToolChoice
  /** `false`: at most one call an answer. Default true. */
  readonly parallelToolCalls?: boolean
  /** What a model thinks between `<think>` and `</think>` comes as `reasoning` and not in the text; with `messages` only. Default false. */
  readonly separateReasoning?: boolean
  /** Handed to the chat template, which decides what they mean: `{ enable_thinking: false }`. */
  readonly templateOptions?: Readonly<Record<string, unknown>>
  /** What telemetry calls it. Default: random. */
  readonly requestId?: string
  /** W3C trace context of whoever asks; telemetry carries it on. */
  readonly traceparent?: string
  /**
   * What each answer had said when the worker that computed it died; they go on behind it, and nothing is said twice. The client's own: it puts
   * requests that were running to a new worker with this.
   */
  readonly resume?: readonly ResumedAnswer[]
}

/** What one answer had said. */
export interface ResumedAnswer {
  readonly tokens: readonly number[]
}

/**
 * What an answer is held to, token by token, exactly one of these; vLLM's names. The answer ends when it is complete, unless `maxTokens` or the
 * context ends it before. What cannot be held to is refused with `bad_request`.
 */
export interface StructuredOutputs {
  /** A JSON schema, its JSON on one line. Which part of JSON schema: the guide "Generating", "Structured outputs". */
  readonly json?: object | true
  /** Any JSON object. */
  readonly jsonObject?: true
  /** A regular expression that the whole answer matches. */
  readonly regex?: string
  /** The answer is one of these. */
  readonly choice?: readonly string[]
  /** EBNF as GBNF writes it, from the rule `root`. */
  readonly grammar?: string
}

/** A prompt whose tokens are asked for, without an answer. Exactly one of `prompt` and `messages`. */
export type TokenizeRequest = Pick<
  GenerateRequest,
  'model' | 'prompt' | 'messages' | 'tools' | 'templateOptions'
>

/** When a request runs, for how long, and what it shares. */
export interface SchedulingParams {
  /** Lower goes first; requests of one priority go in the order in which they came. Whole number, default 0. */
  readonly priority?: number
  /** Takes the row of a running request of lower priority when none is free; that one is computed again later. Default false. */
  readonly preempt?: boolean
  /** `immediate`: refused with `queue_full` when it would have to wait. Default `queue`. */
  readonly admission?: 'queue' | 'immediate'
  /** Milliseconds that it may wait for its first step; then it fails with `timeout`. Default: for ever. */
  readonly queueTimeoutMs?: number
  /**
   * Milliseconds from submit to the last word. A request that has begun then ends with reason `timeout` and keeps its
   * text; one that has not fails with `timeout`. Default: for ever.
   */
  readonly timeoutMs?: number
  /**
   * What happens at the end of the model's context. `stop`: the answer ends there with reason `length`. `error`: it fails
   * with `context_overflow`, at once if prompt and `maxTokens` can be seen not to fit. `truncate-start`: the oldest tokens
   * (of messages: the oldest that are not the system's) are dropped, before and while answering. Default `stop`.
   */
  readonly contextOverflow?: 'error' | 'truncate-start' | 'stop'
  /** KV is shared between requests of one salt only. Default: all share. */
  readonly cacheSalt?: string
  /** `false` computes the whole prompt anew. Default true. */
  readonly readPrefixCache?: boolean
  /** Names a session that keeps the KV of this request, instead of that of its last one, for as long as memory allows. Only with one answer. */
  readonly session?: string
}

/** How the next token is chosen and when to stop. The defaults are vLLM's, except `maxTokens`. */
export interface SamplingParams {
  /** Most tokens to generate; with 0 the prompt is read into the KV cache and nothing is said. Default: what the context has room for. */
  readonly maxTokens?: number
  /** 0 is greedy. Default 1. */
  readonly temperature?: number
  /** Keep the k most likely tokens; 0 keeps all. Default 0. */
  readonly topK?: number
  /** Keep the smallest set with this much probability, (0, 1]. Default 1. */
  readonly topP?: number
  /** Keep tokens at least this fraction as likely as the likeliest, [0, 1]. Default 0. */
  readonly minP?: number
  /** Divides positive and multiplies negative logits of tokens in prompt or output (CTRL, arXiv:1909.05858). Default 1. */
  readonly repetitionPenalty?: number
  /** Taken from the logit of each token already generated, once. [-2, 2], default 0. */
  readonly presencePenalty?: number
  /** Taken from the logit of each token already generated, per occurrence. [-2, 2], default 0. */
  readonly frequencyPenalty?: number
  /** Added to the logit of a token id; -100 and below forbids it. */
  readonly logitBias?: Readonly<Record<number, number>>
  /** Ends the text before the first of these; at most 16, none empty. */
  readonly stop?: string | readonly string[]
  /** Ends the text at any of these tokens, which are not shown. */
  readonly stopTokenIds?: readonly number[]
  /** No token that ends the text is drawn before this many others. Stop strings end it all the same. Default 0. */
  readonly minTokens?: number
  /** The only tokens that may be drawn. Default: all. */
  readonly allowedTokenIds?: readonly number[]
  /** Generates on past the model's end-of-text tokens. Default false. */
  readonly ignoreEos?: boolean
  /** Whole number; the same seed and request give the same tokens. Default: random. */
  readonly seed?: number
  /** Reports the log-probability of each token, and of this many likeliest (0–20). Default: none. */
  readonly logprobs?: number
  /** The same for the prompt, in the last word; its KV is then computed anew. Default: none. */
  readonly promptLogprobs?: number
}

/** Every option of sampling. The compiler checks that none is missing. */
export const SAMPLING_OPTIONS: Readonly<Record<keyof SamplingParams, true>> = {
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  presencePenalty: true,
  frequencyPenalty: true,
  logitBias: true,
  stop: true,
  stopTokenIds: true,
  minTokens: true,
  allowedTokenIds: true,
  ignoreEos: true,
  seed: true,
  logprobs: true,
  promptLogprobs: true,
}

/** Every option of a generate request; anything else is refused. The compiler checks that none is missing. */
export const GENERATE_OPTIONS: Readonly<Record<keyof GenerateRequest, true>> = {
  task: true,
  model: true,
  prompt: true,
  promptTokens: true,
  messages: true,
  n: true,
  structuredOutputs: true,
  tools: true,
  toolChoice: true,
  parallelToolCalls: true,
  separateReasoning: true,
  templateOptions: true,
  requestId: true,
  traceparent: true,
  resume: true,
  priority: true,
  preempt: true,
  admission: true,
  queueTimeoutMs: true,
  timeoutMs: true,
  contextOverflow: true,
  cacheSalt: true,
  readPrefixCache: true,
  session: true,
  ...SAMPLING_OPTIONS,
}

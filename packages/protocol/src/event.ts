import type { WireError } from './error.ts'
import type { ResultEvent } from './one-shot.ts'
import type { ToolCallDelta } from './tool.ts'

/** What one request says back, in order, on its own port. All but `delta` are last words: exactly one ends every request. */
export type RequestEvent = DeltaEvent | FinishEvent | ResultEvent | ErrorEvent

/** Text that can be shown: never half a character, never the beginning of a stop string. */
export interface DeltaEvent {
  readonly type: 'delta'
  /** Which of a request's `n` answers; 0 where there is one. */
  readonly choice: number
  readonly text: string
  /** Tokens generated since the last delta. Their text may come later, or not at all when a stop string swallows it. */
  readonly tokens: readonly number[]
  /** One entry a token in `tokens`, when the request asked for log-probabilities. */
  readonly logprobs?: readonly TokenLogprob[]
  /** Of calls of tools, in order; their text is not in `text`. */
  readonly toolCalls?: readonly ToolCallDelta[]
  /** What the model thinks, when the request wants it apart. */
  readonly reasoning?: string
}

/** The last word of a request that generates and went well, also when it was aborted or late. */
export interface FinishEvent {
  readonly type: 'finish'
  /** How each answer ended, in order. */
  readonly choices: readonly ChoiceEnd[]
  readonly usage: Usage
  readonly timing: Timing
  /** Absent where no engine of ours ended it: a server answered, or the worker had died. */
  readonly work?: EngineWork
  /** One entry a prompt token but the first, when the request asked for them. */
  readonly promptLogprobs?: readonly TokenLogprob[]
}

/** How one answer ended. */
export interface ChoiceEnd {
  readonly reason: FinishReason | 'tool_calls'
  /** The stop string or stop token that ended the text. */
  readonly stop?: string | number
}

/** The last word of a request that failed. */
export interface ErrorEvent {
  readonly type: 'error'
  readonly error: WireError
}

/** How the engine ends an answer. One that ended well (`stop`) and has calls in it is told to the caller as `tool_calls`. */
export type FinishReason = 'stop' | 'length' | 'abort' | 'timeout'

/** Counts of tokens. A stop token that ended the text is counted, though it is in no delta. */
export interface Usage {
  readonly promptTokens: number
  /** How many of them were not computed, because their KV was at hand. With `n` answers: for the first one. */
  readonly cachedTokens: number
  /** Of all answers together. */
  readonly completionTokens: number
}

/** Milliseconds, on the worker's clock. */
export interface Timing {
  /** From submit to the first forward pass. */
  readonly queueMs: number
  /** From submit to the first token; `undefined` when none came. */
  readonly firstTokenMs: number | undefined
  /** From submit to the last word. */
  readonly totalMs: number
}

/** What an engine did for a request. */
export interface EngineWork {
  /** When it was submitted, in milliseconds since the Unix epoch, on the monotonic clock that page and workers share. */
  readonly submittedMs: number
  /** From submit to the last token of all answers; `undefined` when none came. */
  readonly lastTokenMs: number | undefined
  /** How often an answer was sent back to wait. */
  readonly preemptions: number
  readonly draftTokens: number
  readonly acceptedTokens: number
}

/** Natural-log probability of a token before sampling parameters change the distribution, and of the likeliest at its place. */
export interface TokenLogprob {
  readonly token: number
  readonly logprob: number
  readonly top: readonly { readonly token: number; readonly logprob: number }[]
}

/** What the page may say on a request's port. */
export type RequestCommand = { readonly type: 'cancel' }

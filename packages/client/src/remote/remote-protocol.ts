import type { ChoiceEnd, GenerateRequest, ToolCallDelta, Usage } from '@tabserve/protocol'

/** What a server says of a request, piece by piece. */
export type RemotePiece =
  | { readonly type: 'text'; readonly choice: number; readonly text: string }
  | { readonly type: 'reasoning'; readonly choice: number; readonly text: string }
  | { readonly type: 'calls'; readonly choice: number; readonly calls: readonly ToolCallDelta[] }
  | { readonly type: 'end'; readonly choice: number; readonly reason: ChoiceEnd['reason'] }
  | { readonly type: 'usage'; readonly usage: Usage }
  | { readonly type: 'error'; readonly message: string }

/** A language that servers speak over HTTP. */
export interface RemoteProtocol {
  /** Below the endpoint's address, without a slash in front. */
  path(request: GenerateRequest, model: string): string
  body(request: GenerateRequest, model: string): Record<string, unknown>
  /** Takes one event's JSON apart. */
  pieces(event: Record<string, unknown>): RemotePiece[]
  /** Whether every answer is told to have ended, so that a stream without an end was cut. */
  readonly saysEnd: boolean
}

/** Our sampling options as vLLM and OpenAI call them; what was not asked for is left to the server. */
export function samplingBody(request: GenerateRequest): Record<string, unknown> {
  const named = Object.entries(NAMES).map(([ours, theirs]) => [theirs, request[ours as keyof typeof NAMES]])
  return Object.fromEntries(named.filter(([, value]) => value !== undefined)) as Record<string, unknown>
}

const NAMES = {
  maxTokens: 'max_tokens',
  temperature: 'temperature',
  topK: 'top_k',
  topP: 'top_p',
  minP: 'min_p',
  repetitionPenalty: 'repetition_penalty',
  presencePenalty: 'presence_penalty',
  frequencyPenalty: 'frequency_penalty',
  stop: 'stop',
  minTokens: 'min_tokens',
  ignoreEos: 'ignore_eos',
  seed: 'seed',
} as const satisfies Partial<Record<keyof GenerateRequest, string>>

/** Their word for an answer's end. A word that we lack ended the text all the same. */
export function finishReasonOf(word: unknown): ChoiceEnd['reason'] {
  return word === 'length' || word === 'tool_calls' ? word : 'stop'
}

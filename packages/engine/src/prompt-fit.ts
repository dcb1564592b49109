import { EngineError } from '@tabserve/protocol'
import type { Scheduling } from './scheduling-params.ts'

/** What of a prompt is read. Throws `context_overflow` when it does not fit, `bad_request` when it is empty. */
export function fitPrompt(
  tokens: readonly number[],
  maxContext: number,
  maxTokens: number | undefined,
  overflow: Scheduling['contextOverflow'],
): readonly number[] {
  if (tokens.length === 0)
    throw new EngineError('bad_request', 'The prompt is empty: give it at least one token.')
  if (overflow === 'truncate-start') {
    const most = promptLimit(maxContext, maxTokens)
    return tokens.length <= most ? tokens : [tokens[0]!, ...tokens.slice(1 - most)]
  }
  const room = overflow === 'error' ? (maxTokens ?? 1) : 1
  if (tokens.length + room <= maxContext) return tokens
  const problem = `The prompt has ${tokens.length} tokens and the model's context ${maxContext}, ${room} of which must be left to answer.`
  const advice =
    'Shorten the prompt, load the model with a larger contextLength if it has one, or set contextOverflow.'
  throw new EngineError('context_overflow', `${problem} ${advice}`)
}

/** Longest prompt that `truncate-start` leaves: the answer gets the room it asks for, but at most a quarter of the context. */
export function promptLimit(maxContext: number, maxTokens = Infinity): number {
  return maxContext - Math.min(maxTokens, Math.ceil(maxContext / 4))
}

import type { Sequence } from './sequence.ts'

/**
 * Puts a sequence where it was when it had said these tokens, in another engine: its prompt, its random stream and its text go on from there.
 * Invariant: does what drawing each of them did, without saying anything.
 */
export function resume(sequence: Sequence, tokens: readonly number[], maxContext: number): void {
  for (const token of tokens) {
    sequence.append(token)
    sequence.sampler.skip()
    sequence.history.append(token)
    sequence.text.push(token)
    if (sequence.tokens.length >= maxContext && sequence.scheduling.contextOverflow === 'truncate-start')
      sequence.dropOldest(keptAtOverflow(maxContext))
  }
}

/** Tokens that stay when the oldest are dropped because the context is full. */
export function keptAtOverflow(maxContext: number): number {
  return Math.ceil(maxContext / 2)
}

import type { StepKind } from '@tabserve/protocol'
import type { KvCopy, KvPlace, Run, Step } from './model-runner.ts'
import type { Sequence } from './sequence.ts'

/** What a step computes, and for whom. */
export interface Plan {
  readonly kind: StepKind
  /** To be carried out before the step, in order. */
  readonly copies: readonly KvCopy[]
  readonly step: Step
  /** One a run, in the same order. */
  readonly parts: readonly Part[]
  /** Tokens of prompts in it, padding included. */
  readonly numPromptTokens: number
}

/** Whose run it is, and how many tokens at its end are guesses. */
export interface Part {
  readonly sequence: Sequence
  readonly numDraft: number
}

/** Decides who runs and what goes through the model together, as a kind of runner allows it. */
export interface StepPolicy {
  /**
   * The next forward pass, or `undefined` when there is nothing to do.
   * @param copies those that are still to be carried out; gets what comes to them, and goes with the plan.
   */
  plan(copies: KvCopy[]): Plan | undefined
  /** What a step cost: chunk sizes and drafts follow. @param numAccepted tokens of drafts that were right. */
  measured(plan: Plan, ms: number, numAccepted: number): void
}

export interface SchedulerOptions {
  readonly maxWaiting: number
  readonly targetGapMs: number
  readonly speculation: 'auto' | 'off'
}

/** The next `length` tokens of a sequence, and guesses behind them. */
export function runOf(
  kv: KvPlace,
  { numComputed: from, tokens, sampler }: Sequence,
  wantLogits: Run['wantLogits'],
  length: number,
  draft: readonly number[] = [],
): Run {
  // Log-probabilities of a prompt are wanted from whole rows.
  const isDrawn = wantLogits === 'last' || draft.length > 0
  return {
    kv,
    from,
    tokens: Int32Array.from([...tokens.slice(from, from + length), ...draft]),
    wantLogits,
    top: isDrawn ? sampler.top : 0,
  }
}

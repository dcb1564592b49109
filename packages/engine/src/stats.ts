import type { FinishReason, ModelStats, StepKind } from '@tabserve/protocol'
import { RequestHistograms } from './request-histograms.ts'

/** Counted where it happens; `ModelStats` says what each means. */
export class Counters {
  readonly steps: Record<StepKind, number> = { decode: 0, prefill: 0, mixed: 0, verify: 0 }
  readonly finished: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0, timeout: 0 }
  readonly speculation = { drafts: 0, draftTokens: 0, acceptedTokens: 0, acceptedAt: [] as number[] }
  readonly requests = new RequestHistograms()
  stepMs = 0
  planMs = 0
  computedTokens = 0
  promptTokens = 0
  cachedTokens = 0
  generatedTokens = 0
  failed = 0
  refused = 0
  losses = 0
  recoveryMs = 0
  /** On runners that are gone; not for the outside. */
  preempted = 0

  drafted(numDrafted: number, numAccepted: number): void {
    const { speculation } = this
    speculation.drafts++
    speculation.draftTokens += numDrafted
    speculation.acceptedTokens += numAccepted
    for (let at = 0; at < numDrafted; at++)
      speculation.acceptedAt[at] = (speculation.acceptedAt[at] ?? 0) + (at < numAccepted ? 1 : 0)
  }

  /** A copy, with what is not counted but looked up. */
  snapshot(now: Omit<ModelStats, Exclude<keyof Counters, 'preempted'>>): ModelStats {
    const { steps, finished, speculation, requests, preempted: _, ...counts } = this
    return {
      ...counts,
      ...now,
      steps: { ...steps },
      finished: { ...finished },
      requests: requests.snapshot(),
      speculation: { ...speculation, acceptedAt: [...speculation.acceptedAt] },
    }
  }
}

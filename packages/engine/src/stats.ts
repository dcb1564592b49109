import type { BatchStats, ErrorCode, FinishReason, ModelStats, StepKind } from '@tabserve/protocol'
import { Histogram } from './histogram.ts'
import type { StepRecord } from './reporter.ts'
import { RequestHistograms } from './request-histograms.ts'

/** vLLM's buckets of `iteration_tokens_total`. */
const STEP_TOKENS = [1, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192, 16_384]

/** Counted where it happens; `ModelStats` says what each means. */
export class Counters {
  readonly steps: Record<StepKind, number> = { decode: 0, prefill: 0, mixed: 0, verify: 0 }
  readonly finished: Record<FinishReason, number> = { stop: 0, length: 0, abort: 0, timeout: 0 }
  readonly speculation = { drafts: 0, draftTokens: 0, acceptedTokens: 0, acceptedAt: [] as number[] }
  readonly requests = new RequestHistograms()
  readonly batches: Record<number, BatchStats> = {}
  readonly failures: Partial<Record<ErrorCode, number>> = {}
  readonly stepTokens = new Histogram(STEP_TOKENS)
  stepMs = 0
  planMs = 0
  copyMs = 0
  sampleMs = 0
  computedTokens = 0
  promptTokens = 0
  cachedTokens = 0
  generatedTokens = 0
  failed = 0
  failedMs = 0
  corrupted = 0
  refused = 0
  losses = 0
  recoveryMs = 0
  lastRequestMs = 0
  /** On runners that are gone; not for the outside. */
  preempted = 0

  stepped({ kind, planMs, copyMs, runMs, sampleMs, rows, tokens }: StepRecord): void {
    this.steps[kind]++
    this.stepMs += copyMs + runMs
    this.planMs += planMs
    this.copyMs += copyMs
    this.sampleMs += sampleMs
    this.stepTokens.observe(tokens)
    const { count = 0, inputMs = 0, inferMs = 0, outputMs = 0 } = this.batches[rows] ?? {}
    this.batches[rows] = {
      count: count + 1,
      inputMs: inputMs + planMs + copyMs,
      inferMs: inferMs + runMs,
      outputMs: outputMs + sampleMs,
    }
  }

  drafted(numDrafted: number, numAccepted: number): void {
    const { speculation } = this
    speculation.drafts++
    speculation.draftTokens += numDrafted
    speculation.acceptedTokens += numAccepted
    for (let at = 0; at < numDrafted; at++)
      speculation.acceptedAt[at] = (speculation.acceptedAt[at] ?? 0) + (at < numAccepted ? 1 : 0)
  }

  /** @param ms from its submit on. */
  failedWith(code: ErrorCode, ms: number): void {
    this.failed++
    this.failedMs += ms
    this.failures[code] = (this.failures[code] ?? 0) + 1
  }

  /** A copy, with what is not counted but looked up. */
  snapshot(now: Omit<ModelStats, Exclude<keyof Counters, 'preempted'>>): ModelStats {
    const {
      steps,
      finished,
      speculation,
      batches,
      failures,
      requests,
      stepTokens,
      preempted: _,
      ...counts
    } = this
    return {
      ...counts,
      ...now,
      steps: { ...steps },
      finished: { ...finished },
      batches: { ...batches },
      failures: { ...failures },
      stepTokens: stepTokens.snapshot(),
      requests: requests.snapshot(),
      speculation: { ...speculation, acceptedAt: [...speculation.acceptedAt] },
    }
  }
}

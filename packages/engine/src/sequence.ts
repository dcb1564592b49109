import type { Timing, TokenLogprob } from '@tabserve/protocol'
import type { TokenHistory } from './logits-processors.ts'
import type { Sampler } from './sampler.ts'
import type { Emit } from './served.ts'
import type { TextStream } from './text-stream.ts'

/** One generation: its tokens and how far the model has read them. There are no phases: a sequence is decoding when one token is pending. */
export class Sequence {
  /** Prompt and output. */
  readonly tokens: number[]
  readonly promptLength: number
  /** Largest `tokens.length`: the request's own limit, or the end of the context. */
  readonly maxLength: number
  readonly sampler: Sampler
  readonly history: TokenHistory
  readonly text: TextStream
  /** Tokens that end the text. */
  readonly stopTokens: ReadonlySet<number>
  readonly emit: Emit
  readonly submittedMs: number
  /** Positions whose KV is in the sequence's row. */
  numComputed = 0
  startedMs: number | undefined
  firstTokenMs: number | undefined
  /** Tokens and their log-probabilities since the last delta. */
  unsaidTokens: number[] = []
  unsaidLogprobs: TokenLogprob[] = []

  constructor(init: SequenceInit) {
    this.tokens = [...init.prompt]
    this.promptLength = init.prompt.length
    this.maxLength = init.maxLength
    this.sampler = init.sampler
    this.history = init.history
    this.text = init.text
    this.stopTokens = init.stopTokens
    this.emit = init.emit
    this.submittedMs = init.submittedMs
  }

  get numPending(): number {
    return this.tokens.length - this.numComputed
  }

  get numOutput(): number {
    return this.tokens.length - this.promptLength
  }

  timing(now: number): Timing {
    const since = (time: number) => time - this.submittedMs
    return {
      queueMs: since(this.startedMs ?? now),
      firstTokenMs: this.firstTokenMs === undefined ? undefined : since(this.firstTokenMs),
      totalMs: since(now),
    }
  }
}

export interface SequenceInit {
  readonly prompt: readonly number[]
  readonly maxLength: number
  readonly sampler: Sampler
  readonly history: TokenHistory
  readonly text: TextStream
  readonly stopTokens: ReadonlySet<number>
  readonly emit: Emit
  readonly submittedMs: number
}

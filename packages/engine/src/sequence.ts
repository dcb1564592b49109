import type { TokenLogprob } from '@tabserve/protocol'
import type { Choices } from './choices.ts'
import type { Constraint } from './constraint.ts'
import type { TokenHistory } from './logits-processors.ts'
import type { Sampler } from './sampler.ts'
import type { Scheduling } from './scheduling-params.ts'
import type { TextStream } from './text-stream.ts'

/** What a sequence is made of. */
export interface SequenceInit {
  readonly prompt: readonly number[]
  /** Most tokens to generate; `Infinity`: until something else ends it. */
  readonly maxOutput: number
  readonly sampler: Sampler
  /** What may be drawn, where not everything may. */
  readonly constraint: Constraint | undefined
  readonly history: TokenHistory
  readonly text: TextStream
  /** Tokens that end the text. */
  readonly stopTokens: ReadonlySet<number>
  readonly scheduling: Scheduling
  /** Number of top log-probabilities wanted of each prompt token. */
  readonly promptLogprobs: number | undefined
  /** The request whose answer it is, and which one. */
  readonly choices: Choices
  readonly choice: number
  /** Place in the order of all sequences of an engine. */
  readonly arrival: number
  readonly submittedMs: number
}

/** One generation: its tokens and how far the model has read them. There are no phases: a sequence is decoding when one token is pending. */
export class Sequence {
  readonly maxOutput: number
  readonly sampler: Sampler
  readonly constraint: Constraint | undefined
  readonly history: TokenHistory
  readonly text: TextStream
  readonly stopTokens: ReadonlySet<number>
  readonly scheduling: Scheduling
  readonly promptLogprobs: number | undefined
  readonly choices: Choices
  readonly choice: number
  readonly arrival: number
  readonly priority: number
  /** Absolute, on the engine's clock; `Infinity`: none. */
  readonly queueDeadlineMs: number
  readonly deadlineMs: number
  /** Prompt and output, less what was dropped at the start when the context was full. */
  readonly tokens: number[]
  /** Tokens whose KV is there. */
  numComputed = 0
  numOutput = 0
  /** Whether a step was ever computed for it. */
  started = false
  /** When its last token was drawn, on the engine's clock. */
  drawnMs: number | undefined
  /** Tokens and their log-probabilities since the last delta. */
  unsaidTokens: number[] = []
  unsaidLogprobs: TokenLogprob[] = []

  constructor(init: SequenceInit) {
    const { prompt, scheduling, submittedMs } = init
    this.tokens = [...prompt]
    this.maxOutput = init.maxOutput
    this.sampler = init.sampler
    this.constraint = init.constraint
    this.history = init.history
    this.text = init.text
    this.stopTokens = init.stopTokens
    this.scheduling = scheduling
    this.promptLogprobs = init.promptLogprobs
    this.choices = init.choices
    this.choice = init.choice
    this.arrival = init.arrival
    this.priority = scheduling.priority
    this.queueDeadlineMs = submittedMs + Math.min(scheduling.queueTimeoutMs, scheduling.timeoutMs)
    this.deadlineMs = submittedMs + scheduling.timeoutMs
  }

  get numPending(): number {
    return this.tokens.length - this.numComputed
  }

  /** When its time is over, as far as it has come. */
  get dueMs(): number {
    return this.started ? this.deadlineMs : this.queueDeadlineMs
  }

  /** Pending tokens that may be read now: the last one, behind which the next is drawn, only once it is known what that may be. */
  get numReady(): number {
    return this.isResting ? this.numPending - 1 : this.numPending
  }

  get isResting(): boolean {
    return this.constraint !== undefined && this.constraint.mask === undefined
  }

  /** A generated token, whose KV is still to be computed. */
  append(token: number): void {
    this.tokens.push(token)
    this.numOutput++
  }

  /** Drops the oldest tokens but the first, which models need as an anchor (StreamingLLM, arXiv:2309.17453), and keeps `length`. */
  dropOldest(length: number): void {
    this.tokens.splice(1, this.tokens.length - length)
    this.numComputed = Math.min(this.numComputed, 1)
  }
}

import type { ModelRunner, Step, StepResult } from '@tabserve/engine'
import { Engine, resolveSampling, resolveScheduling } from '@tabserve/engine'
import { createBreath } from '@tabserve/runtime'

/** What happened while a long prompt was read beside answers that were running. */
export interface TokenGaps {
  /** Longest wait of any answer for its next token. */
  readonly largestGapMs: number
  /** What each piece of the prompt took, and each decode step in between. */
  readonly chunkMs: readonly number[]
  readonly decodeMs: readonly number[]
}

/** Tokens that each answer has before the prompt comes: their first steps are not what is looked at. */
const TOKENS_BEFORE = 5

/** Lets `numAnswers` answers run, submits a prompt of `promptLength` tokens, and watches until it has its first token. */
export async function tokenGaps(
  inner: ModelRunner,
  numAnswers: number,
  promptLength: number,
): Promise<TokenGaps> {
  const runner = new TimedRunner(inner)
  const breath = createBreath()
  const engine = new Engine(
    {
      runner,
      replaceRunner: (loss) => Promise.reject(loss),
      decode: (tokens) => tokens.map((token) => `<${token}>`).join(''), // every token is said at once
      eosTokenIds: [],
      now: () => performance.now(),
      breathe: () => breath.take(),
      sleep: () => Promise.reject(new Error('no answer here waits for a grammar')),
      randomSeed: () => 1,
    },
    { maxWaiting: numAnswers, targetGapMs: 100, speculation: 'off' },
  )
  const { maxContext, vocabSize } = runner.capabilities
  const promptOf = (tokens: readonly number[], maxTokens: number) => ({
    tokens,
    sampling: resolveSampling({ temperature: 0, maxTokens }, vocabSize),
    scheduling: resolveScheduling({ readPrefixCache: false }),
  })
  const answers = Array.from({ length: numAnswers }, () => new Answer())
  const watch = (resolve: () => void, reject: (error: Error) => void) => {
    const fail = () => reject(new Error('an answer or the prompt ended otherwise than planned'))
    const read = () => {
      for (const answer of answers) answer.largestGapMs = 0
      runner.forget()
      const tokens = Array.from({ length: promptLength }, (_, index) => 50 + ((index * 31) % 200))
      engine.submit(promptOf(tokens, 1), ({ type }) => {
        if (type === 'finish') resolve()
        if (type === 'error') fail()
      })
    }
    answers.forEach((answer, index) => {
      engine.submit(promptOf([1, 20 + index], maxContext - 2), ({ type }) => {
        if (type !== 'delta') return fail()
        answer.take(performance.now())
        if (index === numAnswers - 1 && answer.numTokens === TOKENS_BEFORE) read()
      })
    })
  }
  try {
    await new Promise<void>(watch)
    const largestGapMs = Math.max(...answers.map((answer) => answer.largestGapMs))
    return { largestGapMs, chunkMs: [...runner.chunkMs], decodeMs: [...runner.decodeMs] }
  } finally {
    await engine.dispose({ code: 'aborted', message: 'All was seen.' })
    breath.dispose()
  }
}

/** When one answer's tokens came. */
class Answer {
  numTokens = 0
  largestGapMs = 0
  #lastMs: number | undefined

  take(now: number): void {
    this.numTokens++
    if (this.#lastMs !== undefined) this.largestGapMs = Math.max(this.largestGapMs, now - this.#lastMs)
    this.#lastMs = now
  }
}

/** A runner that remembers what its steps took, by kind. */
class TimedRunner implements ModelRunner {
  readonly #inner: ModelRunner
  readonly chunkMs: number[] = []
  readonly decodeMs: number[] = []

  constructor(inner: ModelRunner) {
    this.#inner = inner
  }

  get capabilities() {
    return this.#inner.capabilities
  }

  get kvBytes(): number {
    return this.#inner.kvBytes
  }

  async run(step: Step): Promise<StepResult> {
    const started = performance.now()
    const result = await this.#inner.run(step)
    const isChunk = step.runs.some(({ tokens }) => tokens.length > 1)
    ;(isChunk ? this.chunkMs : this.decodeMs).push(performance.now() - started)
    return result
  }

  copyKv(...copies: Parameters<ModelRunner['copyKv']>): void {
    this.#inner.copyKv(...copies)
  }

  get kvLayout(): string {
    return this.#inner.kvLayout
  }

  readKv(...kv: Parameters<ModelRunner['readKv']>): ReturnType<ModelRunner['readKv']> {
    return this.#inner.readKv(...kv)
  }

  writeKv(...kv: Parameters<ModelRunner['writeKv']>): Promise<void> {
    return this.#inner.writeKv(...kv)
  }

  forget(): void {
    this.chunkMs.length = 0
    this.decodeMs.length = 0
  }

  async dispose(): Promise<void> {} // whoever opened the inner one closes it
}

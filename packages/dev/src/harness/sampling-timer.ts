import { Random, Sampler, TokenHistory, resolveSampling } from '@tabserve/engine'
import type { SamplingParams } from '@tabserve/protocol'

/** Different rows in a turn: one alone would stay in the processor's cache and teach it the branches. */
const ROWS = 8
/** Standard deviation of the logits, about that of a small language model's. */
const SPREAD = 3
const PROMPT_TOKENS = 512
const OUTPUT_TOKENS = 256

/** Times the choice of a token from random logits of one vocabulary, behind a history of 768 tokens. */
export class SamplingTimer {
  readonly #vocabSize: number
  readonly #random = new Random(1)
  readonly #rows: readonly Float32Array[]
  readonly #history: TokenHistory
  readonly #samplers = new Map<string, readonly Sampler[]>()

  constructor(vocabSize: number) {
    this.#vocabSize = vocabSize
    this.#rows = Array.from({ length: ROWS }, () => this.#normalLogits())
    const token = () => Math.floor(this.#random.next() * vocabSize)
    this.#history = new TokenHistory(Array.from({ length: PROMPT_TOKENS }, token))
    for (let count = 0; count < OUTPUT_TOKENS; count++) this.#history.append(token())
  }

  /** Milliseconds a row. Samplers are kept from call to call, as a request keeps its own. */
  time(options: SamplingParams): number {
    const copies = this.#rows.map((row) => row.slice()) // sampling changes them
    const samplers = this.#samplersFor(options)
    const started = performance.now()
    copies.forEach((row, index) => samplers[index]?.sample(row, this.#history))
    return (performance.now() - started) / copies.length
  }

  #samplersFor(options: SamplingParams): readonly Sampler[] {
    const key = JSON.stringify(options)
    const sampling = resolveSampling(options, this.#vocabSize)
    const samplers = this.#samplers.get(key) ?? this.#rows.map(() => new Sampler(sampling, this.#random))
    this.#samplers.set(key, samplers)
    return samplers
  }

  /** Irwin and Hall: a sum of twelve is near enough to a normal distribution. */
  #normalLogits(): Float32Array {
    return Float32Array.from({ length: this.#vocabSize }, () => {
      let sum = -6
      for (let count = 0; count < 12; count++) sum += this.#random.next()
      return SPREAD * sum
    })
  }
}

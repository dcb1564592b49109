import type { Logits, Run } from './model-runner.ts'

/** The logits of one run, cut into rows. */
export class LogitsRows {
  readonly #logits: Logits | undefined
  readonly count: number
  readonly #width: number

  constructor(logits: Logits | undefined, { wantLogits, tokens }: Run) {
    this.#logits = logits
    this.count = wantLogits === 'none' ? 0 : wantLogits === 'last' ? 1 : tokens.length
    this.#width = this.count === 0 ? 0 : (logits?.values.length ?? 0) / this.count
  }

  values(row: number): Float32Array {
    return this.#logits?.values.subarray(row * this.#width, (row + 1) * this.#width) ?? new Float32Array()
  }

  /** Whose logits they are; `undefined`: all tokens'. */
  tokens(row: number): Int32Array | undefined {
    return this.#logits?.tokens?.subarray(row * this.#width, (row + 1) * this.#width)
  }
}

import type {
  Capabilities,
  KvCopy,
  Logits,
  ModelRunner,
  Run,
  Step,
  StepResult,
} from '../../packages/engine/src/model-runner.ts'

export const VOCAB = 64
/** What stands where nothing was written, or only padding: reading it is a bug. */
const GARBAGE = -1

/**
 * A model whose next token is a function of every token before it. It keeps tokens per row and copies what it is told to
 * copy, so an engine that claims as computed what was never run, or moved, gets other tokens, or an error where the
 * position was never written. Refuses every step that a decoder with GroupQueryAttention cannot take.
 */
export class FakeRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly kvBytes = 0
  readonly steps: Step[] = []
  readonly #rows: number[][]
  failAt: number | undefined
  failCopies = false
  disposed = false
  numComputed = 0
  /** Milliseconds of a pass; the fake clock goes on by them. */
  cost: (step: Step) => number = () => 0
  clock = 0

  constructor(capabilities: Partial<Capabilities> = {}) {
    this.capabilities = {
      mixed: false,
      batchedPrefill: false,
      paged: undefined,
      maxRows: 1,
      maxContext: 32,
      maxTokensPerStep: 4,
      vocabSize: VOCAB,
      ...capabilities,
    }
    const { maxRows, maxContext } = this.capabilities
    this.#rows = Array.from({ length: maxRows }, () => new Array<number>(maxContext).fill(GARBAGE))
  }

  async run(step: Step): Promise<StepResult> {
    if (this.disposed) throw new Error('run after dispose')
    this.clock += this.cost(step)
    if (this.steps.push(step) === this.failAt) throw new Error('the pass failed')
    const width = this.#check(step)
    const outputs = step.runs.map((run): Logits => {
      const { from, tokens, wantLogits } = run
      const row = this.#row(rowOf(run))
      this.numComputed += tokens.length
      tokens.forEach((token, offset) => (row[from + offset] = token))
      row.fill(GARBAGE, from + tokens.length, from + width)
      if (wantLogits === 'none') return { values: new Float32Array(), tokens: undefined }
      const count = wantLogits === 'all' ? tokens.length : 1
      const all = new Float32Array(count * VOCAB)
      for (let place = 0; place < count; place++) {
        const end = from + tokens.length - count + place + 1
        all[place * VOCAB + nextToken(row.slice(0, end))] = 10
      }
      return { values: all, tokens: undefined }
    })
    return { outputs }
  }

  copyKv(copies: readonly KvCopy[]): void {
    if (this.failCopies) throw new Error('the copy failed')
    for (const { from, to, numTokens, swap } of copies) {
      const source = this.#row(from).slice(0, numTokens)
      const target = this.#row(to).slice(0, numTokens)
      this.#row(to).splice(0, numTokens, ...source)
      if (swap) this.#row(from).splice(0, numTokens, ...target)
    }
  }

  async dispose(): Promise<void> {
    this.disposed = true
  }

  #check({ runs }: Step): number {
    const { maxTokensPerStep, maxRows, maxContext, batchedPrefill } = this.capabilities
    const width = Math.max(...runs.map(({ tokens }) => tokens.length))
    if (runs.length === 0) throw new Error('an empty step')
    if (width > 1 && runs.length * width > maxTokensPerStep) throw new Error('too many tokens')
    if (runs.some((run, index) => rowOf(run) !== rowOf(runs[0]!) + index))
      throw new Error('rows are not neighbours')
    if (runs.some((run) => rowOf(run) >= maxRows)) throw new Error('no such row')
    if (runs.some(({ from, tokens }) => from + tokens.length > maxContext))
      throw new Error('behind the context')
    if (runs.length > 1 && width > 1) {
      if (!batchedPrefill || runs.some(({ from }) => from > 0))
        throw new Error('a batch of prompts with a past')
    } else if (runs.length > 1 && rowOf(runs[0]!) !== 0) throw new Error('decode rows are not at the front')
    return width
  }

  #row(index: number): number[] {
    const row = this.#rows[index]
    if (row === undefined) throw new Error(`no row ${index}`)
    return row
  }
}

function rowOf({ kv }: Run): number {
  if ('row' in kv) return kv.row
  throw new Error('a block table for a runner whose KV lies in rows')
}

/** Depends on every token and its place. From 2 to 15: few enough for pairs to come again, which drafts need. */
export function nextToken(tokens: readonly number[]): number {
  let hash = 7
  for (const token of tokens) {
    if (token === GARBAGE) throw new Error('KV was read that was never written')
    hash = (Math.imul(hash, 31) + token + 1) >>> 0
  }
  return 2 + ((hash >>> 3) % 14)
}

/** What a greedy request gives when it is alone. */
export function continuation(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt]
  for (let index = 0; index < count; index++) tokens.push(nextToken(tokens))
  return tokens.slice(prompt.length)
}

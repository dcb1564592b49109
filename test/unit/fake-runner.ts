import { EngineError } from '../../packages/protocol/src/index.ts'
import type {
  Capabilities,
  KvCopy,
  KvPlace,
  Logits,
  ModelRunner,
  Run,
  Step,
  StepResult,
} from '../../packages/engine/src/model-runner.ts'
import type { FakeMemory } from './fake-memory.ts'
import { BlockMemory, RowMemory } from './fake-memory.ts'

export const VOCAB = 64

/**
 * A model whose next token is a function of every token before it. It keeps tokens where it is told to, in rows or blocks, so
 * an engine that claims as computed what was never run, or moved, gets other tokens, or an error where the position was never
 * written. One with blocks gives the largest logits only, when they are enough.
 */
export class FakeRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly kvBytes = 0
  readonly steps: Step[] = []
  readonly copies: KvCopy[] = []
  readonly #memory: FakeMemory
  failAt: number | undefined
  failCopies = false
  /** The device goes in the step of this number, and stays away. */
  loseAt = Infinity
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
    const { paged } = this.capabilities
    this.#memory =
      paged === undefined ? new RowMemory(this.capabilities) : new BlockMemory(this.capabilities, paged)
  }

  async run(step: Step): Promise<StepResult> {
    if (this.disposed) throw new Error('run after dispose')
    this.clock += this.cost(step)
    this.#memory.check(step)
    if (this.steps.length + 1 >= this.loseAt) throw new EngineError('device_lost', 'the device is gone')
    if (this.steps.push(step) === this.failAt) {
      for (const run of step.runs) this.#memory.spoil(run)
      throw new Error('the pass failed')
    }
    const width = Math.max(...step.runs.map(({ tokens }) => tokens.length))
    for (const run of step.runs) {
      this.numComputed += run.tokens.length
      this.#memory.write(run, width)
    }
    return { outputs: step.runs.map((run) => this.#logitsOf(run)) }
  }

  copyKv(copies: readonly KvCopy[]): void {
    if (this.failCopies) throw new Error('the copy failed')
    for (const copy of copies) this.#memory.copy(copy)
    this.copies.push(...copies)
  }

  get kvLayout(): string {
    return this.capabilities.paged === undefined ? 'fake rows' : 'fake blocks'
  }

  /** The tokens themselves, four bytes each. Throws where what is read was never computed. */
  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    if (this.loseAt <= this.steps.length) throw new EngineError('device_lost', 'the device is gone')
    return new Uint8Array(Int32Array.from(this.#memory.read(place, numTokens)).buffer)
  }

  async writeKv(kv: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (bytes.byteLength !== 4 * numTokens) throw new Error('KV of another length')
    const tokens = new Int32Array(bytes.slice().buffer)
    this.#memory.write({ kv, from: 0, tokens, wantLogits: 'none', top: 0 }, tokens.length)
  }

  async dispose(): Promise<void> {
    this.disposed = true
  }

  #logitsOf({ kv, from, tokens, wantLogits, top }: Run): Logits {
    const text = this.#memory.read(kv, from + tokens.length)
    const count = wantLogits === 'none' ? 0 : wantLogits === 'all' ? tokens.length : 1
    const rows = Array.from({ length: count }, (_, place) =>
      logitsBehind(text.slice(0, text.length - count + place + 1)),
    )
    if (this.capabilities.paged === undefined || top === 0) return { values: flat(rows), tokens: undefined }
    const largest = rows.map((row) => largestOf(row, top))
    return {
      values: flat(rows.map((row, index) => Float32Array.from(largest[index]!, (token) => row[token]!))),
      tokens: Int32Array.from(largest.flat()),
    }
  }
}

function logitsBehind(tokens: readonly number[]): Float32Array {
  const row = new Float32Array(VOCAB)
  row[nextToken(tokens)] = 10
  return row
}

function flat(rows: readonly Float32Array[]): Float32Array {
  return Float32Array.from(rows.flatMap((row) => [...row]))
}

/** Ids of the `count` largest, ascending; of equal ones the lowest. */
export function largestOf(row: Float32Array, count: number): number[] {
  const ids = Array.from(row.keys()).sort((left, right) => row[right]! - row[left]! || left - right)
  return ids.slice(0, count).sort((left, right) => left - right)
}

/** Depends on every token and its place. From 2 to 15: few enough for pairs to come again, which drafts need. */
export function nextToken(tokens: readonly number[]): number {
  let hash = 7
  for (const token of tokens) hash = (Math.imul(hash, 31) + token + 1) >>> 0
  return 2 + ((hash >>> 3) % 14)
}

/** What a greedy request gives when it is alone. */
export function continuation(prompt: readonly number[], count: number): number[] {
  const tokens = [...prompt]
  for (let index = 0; index < count; index++) tokens.push(nextToken(tokens))
  return tokens.slice(prompt.length)
}

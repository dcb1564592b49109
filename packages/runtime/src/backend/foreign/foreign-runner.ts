import type {
  Capabilities,
  KvCopy,
  KvPlace,
  Logits,
  ModelRunner,
  Run,
  Step,
  StepResult,
} from '@tabserve/engine'
import type { KvElements } from '../kv-layout.ts'
import { rowIn } from '../row-bytes.ts'
import type { RowRoom } from '../runner-options.ts'
import { capabilitiesOf } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import type { ForeignBatch } from './foreign-batch.ts'
import { foreignBatch } from './foreign-batch.ts'
import type { ForeignSession } from './foreign-session.ts'
import { HalfTable } from './half-table.ts'

/**
 * Runs a decoder that somebody else exported. The runs of a step go through the graph together where that gives what each gives alone, else one
 * after the other.
 */
export class ForeignRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly #session: ForeignSession
  readonly #form: DecoderForm
  readonly #batched: boolean
  readonly #halves: HalfTable | undefined

  /** @param batched whether runs may go together. */
  constructor(session: ForeignSession, form: DecoderForm, room: RowRoom, batched: boolean) {
    this.#session = session
    this.#form = form
    this.#batched = batched
    this.#halves = form.logits.dtype === 'float16' ? new HalfTable() : undefined
    // Padded on the right, prompts end in different columns; on the left they would begin in columns that see nothing.
    const batchedPrefill = batched && form.form === 'gqa' && !form.logits.lastOnly
    this.capabilities = { ...capabilitiesOf(form, room), batchedPrefill }
  }

  get kvBytes(): number {
    return this.#session.kvBytes
  }

  async run({ runs }: Step): Promise<StepResult> {
    if (runs.length === 0) throw new Error('an empty step')
    if (runs.length === 1 || this.#mayGoTogether(runs)) return { outputs: await this.#runTogether(runs) }
    const outputs: Logits[] = []
    for (const run of runs) outputs.push(...(await this.#runTogether([run])).map(kept))
    return { outputs }
  }

  copyKv(copies: readonly KvCopy[]): void {
    this.#session.copyKv(copies)
  }

  /** A graph whose rows are padded on the left keeps them without the padding, as others do. */
  get kvLayout(): string {
    return this.#session.kvLayout
  }

  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#session.readKv(rowIn(place), numTokens)
  }

  async writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#session.writeKv(rowIn(place), numTokens, bytes)
  }

  dispose(): Promise<void> {
    return this.#session.dispose()
  }

  #mayGoTogether(runs: readonly Run[]): boolean {
    return (
      this.#batched && (this.capabilities.batchedPrefill || runs.every(({ tokens }) => tokens.length === 1))
    )
  }

  async #runTogether(runs: readonly Run[]): Promise<Logits[]> {
    const [run] = runs
    const isWhole = run?.wantLogits === 'all' && run.tokens.length > 1
    if (run !== undefined && isWhole && this.#form.logits.lastOnly) return [await this.#runByToken(run)]
    const batch = foreignBatch(runs, this.#form)
    this.#session.reserve(batch.totalLength)
    return this.#outputs(await this.#session.run(batch), batch)
  }

  /** Logits of every token, of a graph that gives those of the last one. */
  async #runByToken({ tokens, from, ...run }: Run): Promise<Logits> {
    const { vocabSize } = this.#form
    const values = new Float32Array(tokens.length * vocabSize)
    for (const index of tokens.keys()) {
      const one = { ...run, from: from + index, tokens: tokens.subarray(index, index + 1) }
      const [logits] = await this.#runTogether([one])
      if (logits !== undefined) values.set(logits.values, index * vocabSize)
    }
    return { values, tokens: undefined }
  }

  /** Cuts [numRows, logitsWidth, vocabSize] into one view a run. */
  #outputs(logits: KvElements, { logitsPerRun, logitsIndex, logitsWidth, width }: ForeignBatch): Logits[] {
    const { vocabSize } = this.#form
    let next = 0
    return logitsPerRun.map((count) => {
      const index = logitsIndex[next] ?? 0
      next += count
      const [row, token] = [Math.trunc(index / width), index % width]
      const begin = (row * logitsWidth + token - (width - logitsWidth)) * vocabSize
      const found = logits.subarray(begin, begin + count * vocabSize)
      if (count > 0 && found.length !== count * vocabSize) throw new Error('the graph gave too few logits')
      const values = found instanceof Float32Array ? found : this.#floats(found)
      return { values: count === 0 ? new Float32Array() : values, tokens: undefined }
    })
  }

  #floats(halves: Uint16Array): Float32Array {
    if (this.#halves === undefined) throw new Error('halves of a graph that gives floats')
    return this.#halves.floatsOf(halves)
  }
}

/** Of a run that another follows in the same step. */
function kept({ values, tokens }: Logits): Logits {
  return { values: values.slice(), tokens }
}

import type { Capabilities, KvCopy, KvPlace, ModelRunner, Step, StepResult } from '@tabserve/engine'

/**
 * Lets a paged runner be asked in rows, as the conformance suite asks: each row has a table of its own, with blocks that are no
 * neighbours. Rows change places by exchanging their tables.
 */
export class RowsOverBlocks implements ModelRunner {
  readonly capabilities: Capabilities
  readonly #runner: ModelRunner
  readonly #tables: Int32Array[]
  readonly #blockTokens: number

  constructor(runner: ModelRunner) {
    const { paged, maxRows, maxContext } = runner.capabilities
    if (paged === undefined) throw new Error('this runner has rows of its own')
    this.#runner = runner
    this.capabilities = runner.capabilities
    this.#blockTokens = paged.blockTokens
    const length = Math.ceil(maxContext / paged.blockTokens)
    this.#tables = Array.from({ length: maxRows }, (_, row) =>
      Int32Array.from({ length }, (_, index) => index * maxRows + row),
    )
  }

  get kvBytes(): number {
    return this.#runner.kvBytes
  }

  run({ runs }: Step): Promise<StepResult> {
    return this.#runner.run({
      runs: runs.map((run) => {
        if (!('row' in run.kv)) return run
        const length = Math.ceil((run.from + run.tokens.length) / this.#blockTokens)
        return { ...run, kv: { blocks: this.#table(run.kv.row).subarray(0, length) } }
      }),
    })
  }

  copyKv(copies: readonly KvCopy[]): void {
    for (const { from, to, numTokens, swap } of copies) {
      const source = this.#table(from)
      const target = this.#table(to)
      if (swap) {
        this.#tables[from] = target
        this.#tables[to] = source
        continue
      }
      for (let index = 0; index * this.#blockTokens < numTokens; index++) {
        const held = Math.min(this.#blockTokens, numTokens - index * this.#blockTokens)
        const block = { from: source[index] ?? 0, to: target[index] ?? 0, numTokens: held, swap: false }
        this.#runner.copyKv([block])
      }
    }
  }

  get kvLayout(): string {
    return this.#runner.kvLayout
  }

  readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#runner.readKv(this.#placeOf(place), numTokens)
  }

  writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#runner.writeKv(this.#placeOf(place), numTokens, bytes)
  }

  dispose(): Promise<void> {
    return this.#runner.dispose()
  }

  #placeOf(place: KvPlace): KvPlace {
    return 'row' in place ? { blocks: this.#table(place.row) } : place
  }

  #table(row: number): Int32Array {
    const table = this.#tables[row]
    if (table === undefined) throw new Error(`row ${row} of ${this.#tables.length}`)
    return table
  }
}

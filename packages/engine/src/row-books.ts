import type { KeptKv, KvBooks, Placed, ReservedKv } from './kv-books.ts'
import { cacheLimit } from './kv-books.ts'
import type { Row } from './kv-row.ts'
import type { Prefix } from './kv-rows.ts'
import { KvRows } from './kv-rows.ts'
import type { KvCopy } from './model-runner.ts'
import type { Sequence } from './sequence.ts'

/** Each sequence has a row of KV. */
export class RowBooks implements KvBooks {
  readonly blocks = undefined
  readonly #kv: KvRows<Sequence>
  readonly #rows = new Map<Sequence, Row<Sequence>>()
  readonly #numPositions: number

  constructor(maxRows: number, maxContext: number) {
    this.#kv = new KvRows(maxRows)
    this.#numPositions = maxRows * maxContext
  }

  get numFree(): number {
    return this.#kv.numFree
  }

  get usage(): number {
    let used = 0
    for (const { numComputed } of this.#rows.keys()) used += numComputed
    return used / this.#numPositions
  }

  hasRoomFor(sequences: readonly Sequence[]): boolean {
    return sequences.length <= this.numFree
  }

  place(sequence: Sequence): Placed | undefined {
    const acquired = this.#kv.acquire(sequence, this.#prefixOf(sequence))
    if (acquired !== undefined) this.#rows.set(sequence, acquired.row)
    return acquired
  }

  numFindable(sequence: Sequence): number {
    return this.#kv.numFindable(this.#prefixOf(sequence))
  }

  /** Where the row is in the runner's memory; it moves. */
  indexOf(sequence: Sequence): number {
    return this.#rowOf(sequence).index
  }

  /** Puts the rows of `sequences` into the rows from `first` on, in any order, by swapping as few as possible. */
  arrange(sequences: readonly Sequence[], first: number): readonly KvCopy[] {
    return this.#kv.arrange(
      sequences.map((sequence) => this.#rowOf(sequence)),
      first,
    )
  }

  write(sequence: Sequence, tokens: readonly number[]): void {
    this.#kv.write(this.#rowOf(sequence), sequence.numComputed, tokens)
  }

  truncate(sequence: Sequence): void {
    this.#kv.truncate(this.#rowOf(sequence), sequence.numComputed)
  }

  release(sequence: Sequence): void {
    this.#kv.release(this.#rowOf(sequence), sequence.scheduling.session)
    this.#rows.delete(sequence)
  }

  keptBy(session: string): KeptKv | undefined {
    const row = this.#kv.keptBy(session)
    return row === undefined ? undefined : { place: { row: row.index }, tokens: row.tokens }
  }

  share(from: string, to: string): void {
    this.#kv.share(from, to)
  }

  letGo(session: string): void {
    this.#kv.letGo(session)
  }

  reserve(tokens: readonly number[], salt: string): ReservedKv | undefined {
    const row = this.#kv.reserve(salt)
    if (row === undefined) return undefined
    return {
      place: { row: row.index },
      keep: (session) => this.#kv.fill(row, tokens, session),
      drop: () => {}, // it is empty
    }
  }

  reset(): void {
    this.#kv.reset()
  }

  check(running: ReadonlySet<Sequence>): void {
    this.#kv.check()
    const owners = this.#kv.rows.flatMap(({ owner }) => (owner === undefined ? [] : [owner]))
    if (owners.length !== running.size || owners.some((owner) => !running.has(owner)))
      throw new Error('rows are owned by others than those who run')
    for (const sequence of running)
      if (this.#rowOf(sequence).tokens.length !== sequence.numComputed)
        throw new Error('a row holds more or less than its owner thinks')
  }

  #prefixOf(sequence: Sequence): Prefix<Sequence> {
    const relatives = sequence.choices.sequences.flatMap((relative) => this.#rows.get(relative) ?? [])
    const { tokens, scheduling } = sequence
    const { cacheSalt: salt, session } = scheduling
    const own = session === undefined ? undefined : this.#kv.keptBy(session)
    if (own !== undefined) relatives.push(own)
    return { tokens, limit: cacheLimit(sequence), salt, relatives, session }
  }

  #rowOf(sequence: Sequence): Row<Sequence> {
    const row = this.#rows.get(sequence)
    if (row === undefined) throw new Error('a sequence without a row')
    return row
  }
}

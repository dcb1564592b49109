import type { KvBlockStats } from '@tabserve/protocol'
import type { BlockTable } from './block-table.ts'
import { KvBlocks } from './kv-blocks.ts'
import type { KeptKv, KvBooks, Placed, ReservedKv } from './kv-books.ts'
import { cacheLimit } from './kv-books.ts'
import type { Capabilities, KvCopy } from './model-runner.ts'
import type { Sequence } from './sequence.ts'

/** Each sequence has a table of blocks, with room for its tokens. */
export class BlockBooks implements KvBooks {
  readonly #kv: KvBlocks
  readonly #tables = new Map<Sequence, BlockTable>()
  readonly #maxRows: number

  /** Throws when there are too few blocks for one sequence of the whole context, which nobody could then make room for. */
  constructor({ maxRows, maxContext }: Capabilities, paged: NonNullable<Capabilities['paged']>) {
    const { numBlocks, blockTokens } = paged
    if (numBlocks * blockTokens < maxContext)
      throw new Error(
        `${numBlocks} blocks of ${blockTokens} tokens hold less than one context of ${maxContext}`,
      )
    this.#kv = new KvBlocks(numBlocks, blockTokens)
    this.#maxRows = maxRows
  }

  get numFree(): number {
    return this.#maxRows - this.#tables.size
  }

  get usage(): number {
    return this.#kv.numUsed / this.#kv.numBlocks
  }

  get blocks(): KvBlockStats {
    const { numBlocks: total, numUsed: used, numCached: cached } = this.#kv
    const { numCopies: copied, numStored: stored, numEvicted: evicted } = this.#kv
    return { total, used, cached, copied, stored, evicted }
  }

  hasRoomFor(sequences: readonly Sequence[]): boolean {
    const numWanted = sequences.reduce((sum, { tokens }) => sum + this.#kv.numBlocksFor(tokens.length), 0)
    return sequences.length <= this.numFree && numWanted + this.#numSpare <= this.#kv.numAvailable
  }

  place(sequence: Sequence): Placed | undefined {
    const { tokens, choices, scheduling } = sequence
    const acquired = this.#kv.acquire({
      tokens,
      limit: cacheLimit(sequence),
      salt: scheduling.cacheSalt,
      relatives: choices.sequences.flatMap((relative) => this.#tables.get(relative) ?? []),
      numSpare: this.#numSpare,
      session: scheduling.session,
    })
    if (acquired === undefined) return undefined
    const { table, copies } = acquired
    this.#tables.set(sequence, table)
    return { numCached: table.numTokens, copies }
  }

  /** Makes room for exactly `length` positions of a sequence. `undefined`, and nothing has changed, when blocks are too few. */
  resize(sequence: Sequence, length: number): readonly KvCopy[] | undefined {
    return this.#kv.resize(this.#tableOf(sequence), length)
  }

  /** Ids of the blocks that hold the first `length` positions. */
  tableOf(sequence: Sequence, length: number): Int32Array {
    return this.#tableOf(sequence).ids(this.#kv.numBlocksFor(length))
  }

  /** Whether a sequence would find at least a block more once `other` has been read further. */
  awaits(sequence: Sequence, other: Sequence): boolean {
    if (sequence.scheduling.cacheSalt !== other.scheduling.cacheSalt) return false
    const limit = cacheLimit(sequence)
    // All of a prompt is shared by answers to one request; of others only what fills a block.
    const end =
      sequence.choices === other.choices
        ? limit
        : this.#kv.blockTokens * (Math.floor(other.numComputed / this.#kv.blockTokens) + 1)
    if (end > limit || end <= other.numComputed) return false
    for (let index = 0; index < end; index++) if (sequence.tokens[index] !== other.tokens[index]) return false
    return true
  }

  write(sequence: Sequence, tokens: readonly number[]): void {
    this.#kv.write(this.#tableOf(sequence), tokens)
  }

  truncate(sequence: Sequence): void {
    this.#kv.truncate(this.#tableOf(sequence), sequence.numComputed)
  }

  release(sequence: Sequence): void {
    this.#kv.release(this.#tableOf(sequence), sequence.scheduling.session)
    this.#tables.delete(sequence)
  }

  keptBy(session: string): KeptKv | undefined {
    const { ids, tokens } = this.#kv.keptBy(session)
    return ids.length === 0 ? undefined : { place: { blocks: ids }, tokens }
  }

  share(from: string, to: string): void {
    this.#kv.share(from, to)
  }

  letGo(session: string): void {
    this.#kv.letGo(session)
  }

  /** Whole blocks of it that are there already are given up again as soon as it is kept: of equal ones one is enough. */
  reserve(tokens: readonly number[], salt: string): ReservedKv | undefined {
    const nothing = { limit: 0, relatives: [] }
    const table = this.#kv.acquire({ ...nothing, tokens, salt, numSpare: this.#numSpare })?.table
    if (table === undefined) return undefined
    return {
      place: { blocks: table.ids(table.numBlocks) },
      keep: (session) => {
        this.#kv.write(table, tokens)
        this.#kv.release(table, session)
      },
      drop: () => this.#kv.release(table),
    }
  }

  reset(): void {
    this.#kv.reset()
  }

  check(running: ReadonlySet<Sequence>): void {
    this.#kv.check()
    if (this.#tables.size !== running.size) throw new Error('others have blocks than those who run')
    for (const sequence of running)
      if (this.#tableOf(sequence).numTokens !== sequence.numComputed)
        throw new Error('a table holds more or less than its owner thinks')
  }

  /** Whoever runs may want a block soon: who is let in must leave that many, or would be sent back at once. */
  get #numSpare(): number {
    return this.#tables.size
  }

  #tableOf(sequence: Sequence): BlockTable {
    const table = this.#tables.get(sequence)
    if (table === undefined) throw new Error('a sequence without blocks')
    return table
  }
}

import type { Block } from './block-pool.ts'
import { BlockPool } from './block-pool.ts'
import type { BlockTable } from './block-table.ts'
import { OwnedTable } from './block-table.ts'
import type { PartOfBlock } from './block-tree.ts'
import { BlockTree, commonLength } from './block-tree.ts'
import type { KvCopy } from './model-runner.ts'

/** A part of a block is copied from this many tokens on; what is shorter is as well computed. */
const LEAST_PART = 4

/** What to look for, and room for how much. */
export interface BlockPrefix {
  /** The table gets room for all of them. */
  readonly tokens: readonly number[]
  /** Most tokens that may count as cached: fewer than there are. */
  readonly limit: number
  /** Only blocks of the same salt are found. */
  readonly salt: string
  /** Tables whose last block, which is not full, is looked at too. */
  readonly relatives: readonly BlockTable[]
  /** Blocks that must be left for others. */
  readonly numSpare: number
  /** Looks for the shortest part of a block, too, and may write on in what it keeps itself. */
  readonly session?: string | undefined
}

export interface AcquiredTable {
  readonly table: BlockTable
  readonly copies: readonly KvCopy[]
}

/**
 * The books of KV in blocks (PagedAttention, SOSP 2023): which blocks each sequence has, who shares them, what can be found
 * again. Decides, and says what to copy; copies must be carried out in order before the next forward pass.
 *
 * Invariants: only a block that stands in one table and cannot be found is written; so what is shared never changes, and is
 * shared without a copy. Of two findable blocks that hold the same, behind the same, there is one.
 */
export class KvBlocks {
  readonly blockTokens: number
  readonly #tree = new BlockTree()
  readonly #pool: BlockPool
  readonly #tables = new Set<OwnedTable>()
  #numCopies = 0

  constructor(numBlocks: number, blockTokens: number) {
    this.blockTokens = blockTokens
    this.#pool = new BlockPool(numBlocks, this.#tree)
  }

  get numBlocks(): number {
    return this.#pool.numBlocks
  }

  /** Blocks that sequences hold. */
  get numUsed(): number {
    return this.#pool.numBlocks - this.#pool.numAvailable
  }

  /** Blocks that nobody holds and that can be found. */
  get numCached(): number {
    return this.#pool.numIdle
  }

  get numAvailable(): number {
    return this.#pool.numAvailable
  }

  get numCopies(): number {
    return this.#numCopies
  }

  get numStored(): number {
    return this.#tree.numStored
  }

  get numEvicted(): number {
    return this.#pool.numEvicted
  }

  numBlocksFor(length: number): number {
    return Math.ceil(length / this.blockTokens)
  }

  /** A table with what is found of `tokens`, and blocks for the rest. `undefined`, and nothing has changed, when there are too few. */
  acquire(prefix: BlockPrefix): AcquiredTable | undefined {
    const { tokens, limit, salt, numSpare } = prefix
    const table = new OwnedTable(salt)
    table.blocks.push(...this.#tree.find(salt, tokens, limit, this.blockTokens))
    table.numTokens = table.blocks.length * this.blockTokens
    const part = this.#partBehind(table, prefix)
    if (part !== undefined) {
      table.blocks.push(part.block)
      table.numTokens += part.length
    }
    for (const block of table.blocks) this.#pool.hold(block)
    const copies = this.#resize(table, tokens.length, numSpare, prefix.session)
    if (copies === undefined) {
      this.#dropFrom(table, 0)
      return undefined
    }
    this.#tables.add(table)
    return { table, copies }
  }

  /** How many tokens `acquire` would find in whole blocks. */
  numFindable({ salt, tokens, limit }: Pick<BlockPrefix, 'salt' | 'tokens' | 'limit'>): number {
    return this.#tree.find(salt, tokens, limit, this.blockTokens).length * this.blockTokens
  }

  /**
   * Gives a table as many blocks as `length` positions need, no more, and makes the one that is written next its own.
   * `undefined`, and nothing has changed, when there are too few.
   */
  resize(owned: BlockTable, length: number): readonly KvCopy[] | undefined {
    return this.#resize(this.#of(owned), length, 0, undefined)
  }

  /** Books that the model has written the KV of these tokens, behind what the table holds. */
  write(owned: BlockTable, tokens: readonly number[]): void {
    const table = this.#of(owned)
    for (const token of tokens) {
      const index = Math.floor(table.numTokens / this.blockTokens)
      const block = table.blocks[index]
      const isNext = index * this.blockTokens + (block?.tokens.length ?? 0) === table.numTokens
      if (block?.numHolders !== 1 || block.stem !== undefined || !isNext)
        throw new Error(`position ${table.numTokens} was written into a block that is not the table's own`)
      block.tokens.push(token)
      table.numTokens++
      if (block.tokens.length === this.blockTokens) this.#publish(table, index)
    }
  }

  /** Forgets what is behind `length`, last block first. */
  truncate(owned: BlockTable, length: number): void {
    const table = this.#of(owned)
    if (length >= table.numTokens) return
    table.numTokens = length
    this.#dropFrom(table, this.numBlocksFor(length))
  }

  /** The table is gone; what its blocks hold stays to be found. @param session keeps that, instead of what it kept before. */
  release(owned: BlockTable, session?: string): void {
    const table = this.#of(owned)
    const numFull = Math.floor(table.numTokens / this.blockTokens)
    const kept = table.blocks.slice(0, numFull)
    if (numFull * this.blockTokens < table.numTokens) {
      const part = this.#publishPart(table, numFull, session === undefined ? LEAST_PART : 1)
      if (part !== undefined) kept.push(part)
    }
    if (session !== undefined) {
      const end = kept.findIndex(({ stem }) => stem === undefined)
      this.#pool.keep(session, end < 0 ? kept : kept.slice(0, end))
    }
    this.#dropFrom(table, 0)
    this.#tables.delete(table)
  }

  /** Ids of the blocks that a session keeps, and the tokens whose KV they hold. */
  keptBy(session: string): { readonly ids: Int32Array; readonly tokens: readonly number[] } {
    const blocks = this.#pool.keptBy(session)
    return { ids: Int32Array.from(blocks, ({ id }) => id), tokens: blocks.flatMap(({ tokens }) => tokens) }
  }

  /** One session keeps what another does, too. */
  share(from: string, to: string): void {
    this.#pool.keep(to, this.#pool.keptBy(from))
  }

  /** What a session kept is as any other from now on. */
  letGo(session: string): void {
    this.#pool.letGo(session)
  }

  /** Forgets what nobody holds. What tables hold cannot be found any more. */
  reset(): void {
    this.#pool.forget()
    for (const table of this.#tables) table.findable = false
  }

  /** Throws where an invariant is broken. For tests. */
  check(): void {
    const holders = new Map<Block, number>()
    for (const { blocks, numTokens } of this.#tables) {
      if (new Set(blocks).size !== blocks.length) throw new Error('a block stands twice in a table')
      if (blocks.length < this.numBlocksFor(numTokens))
        throw new Error('a table is shorter than what it holds')
      blocks.forEach((block, index) => {
        holders.set(block, (holders.get(block) ?? 0) + 1)
        const { stem } = block
        if (index > 0 && stem !== undefined && stem !== blocks[index - 1])
          throw new Error('a table holds a block without what it continues')
        if (block.tokens.length < Math.min(this.blockTokens, numTokens - index * this.blockTokens))
          throw new Error('a block holds less than its table thinks')
      })
    }
    this.#pool.check(holders)
  }

  /** The block that has the most of what comes behind the table's full blocks. */
  #partBehind(table: OwnedTable, prefix: BlockPrefix): PartOfBlock | undefined {
    const { tokens, limit, salt, relatives, session } = prefix
    const index = table.blocks.length
    const begin = index * this.blockTokens
    const end = Math.min(limit, begin + this.blockTokens)
    const least = session === undefined ? LEAST_PART : 1
    if (end - begin < least) return undefined
    const before = table.blocks[index - 1]
    let best = this.#tree.longest(before ?? salt, tokens, begin, end)
    for (const relative of relatives) {
      const { blocks, findable, salt: itsSalt } = this.#of(relative)
      const block = blocks[index]
      if (block === undefined || !findable || itsSalt !== salt || blocks[index - 1] !== before) continue
      const length = commonLength(block.tokens, tokens, begin, end)
      if (length > (best?.length ?? 0)) best = { block, length }
    }
    return best !== undefined && best.length >= least ? best : undefined
  }

  #resize(
    table: OwnedTable,
    length: number,
    numSpare: number,
    session: string | undefined,
  ): readonly KvCopy[] | undefined {
    const { blocks, numTokens } = table
    const index = Math.floor(numTokens / this.blockTokens)
    const offset = numTokens - index * this.blockTokens
    const next = length > numTokens ? blocks[index] : undefined
    const numMissing = Math.max(0, this.numBlocksFor(length) - blocks.length)
    const numLeft = this.#pool.numAvailable - numSpare - numMissing
    const isShared = next !== undefined && next.numHolders > 1
    const isWanted = next?.stem !== undefined && (next.tokens.length > offset || this.#isKept(next, session))
    if (numLeft < (isShared || (isWanted && numSpare > 0) ? 1 : 0)) return undefined
    this.#dropFrom(table, this.numBlocksFor(length))
    // What continues `next` and is idle is evicted here, should there be no room for a copy.
    for (let count = 0; count < numMissing; count++) blocks.push(this.#pool.take())
    if (next === undefined) return []
    if (isShared || (isWanted && numLeft > 0)) return [this.#copy(table, index, offset)]
    this.#pool.spoil(next)
    if (next.stem !== undefined) this.#tree.remove(next)
    next.tokens.length = offset
    return []
  }

  /** Puts a copy of the first `numTokens` positions of a table's block in its place. */
  #copy(table: OwnedTable, index: number, numTokens: number): KvCopy {
    const source = table.blocks[index]!
    const target = this.#pool.take()
    target.tokens.push(...source.tokens.slice(0, numTokens))
    table.blocks[index] = target
    this.#pool.drop(source)
    this.#numCopies++
    return { from: source.id, to: target.id, numTokens, swap: false }
  }

  /** A block is full: others may find it, or somebody else was faster, and then his is taken. */
  #publish(table: OwnedTable, index: number): void {
    const block = table.blocks[index]!
    const known = table.findable ? this.#tree.add(table.blocks[index - 1] ?? table.salt, block) : undefined
    if (known === undefined || known === block) return
    this.#pool.hold(known)
    table.blocks[index] = known
    this.#pool.drop(block)
  }

  /** Whether another session than this one keeps a block. */
  #isKept(block: Block, session: string | undefined): boolean {
    const isOwn = session !== undefined && this.#pool.keptBy(session).includes(block)
    return block.numKeepers > (isOwn ? 1 : 0)
  }

  /** Makes a last block that is not full findable, if it holds what no other does. Gives the one that is found for it then, if there is one. */
  #publishPart(table: OwnedTable, index: number, least: number): Block | undefined {
    const block = table.blocks[index]!
    const { length } = block.tokens
    if (block.stem !== undefined) return block
    if (!table.findable || block.numHolders > 1 || length < least) return undefined
    const before = table.blocks[index - 1] ?? table.salt
    const known = this.#tree.longest(before, block.tokens, 0, length)
    return known?.length === length ? known.block : this.#tree.add(before, block)
  }

  /** Last block first: see `BlockPool`. */
  #dropFrom(table: OwnedTable, index: number): void {
    while (table.blocks.length > index) this.#pool.drop(table.blocks.pop()!)
  }

  #of(table: BlockTable): OwnedTable {
    if (table instanceof OwnedTable && this.#tables.has(table)) return table
    throw new Error('a table of other books')
  }
}

import type { BlockTree, Stem } from './block-tree.ts'

/** One block of KV: who holds it, what it holds, and where it is found. */
export class Block implements Stem {
  /** Where it is in the runner's memory. */
  readonly id: number
  /** Tables that it stands in. */
  numHolders = 0
  /** Sessions that want it kept. */
  numKeepers = 0
  /** Tokens whose KV it holds, from its first position on. */
  readonly tokens: number[] = []
  /** What it continues, where it can be found; else `undefined`, and then nothing that it holds is kept. */
  stem: Stem | undefined
  readonly followers = new Map<number, Block>()

  constructor(id: number) {
    this.id = id
  }
}

/**
 * Every block there is: held by somebody, idle (held by nobody, but findable) or blank. What is idle is evicted when a block is
 * wanted and none is blank: the longest unused first, and what sessions keep after everything else. Who drops a table drops its last block first,
 * so that the end of a text is evicted before its beginning: a beginning without its end is useful, an end without its beginning is not.
 *
 * Invariant: what a session keeps is findable and a chain from the first block of a text on; so a block that is kept continues none that is not.
 */
export class BlockPool {
  readonly #tree: BlockTree
  readonly #blocks: readonly Block[]
  readonly #blank: Block[]
  /** In the order in which they were dropped, those apart that sessions keep. */
  readonly #idle = new Set<Block>()
  readonly #idleKept = new Set<Block>()
  /** What each session keeps, first block first. */
  readonly #kept = new Map<string, readonly Block[]>()
  #numEvicted = 0

  constructor(count: number, tree: BlockTree) {
    this.#tree = tree
    this.#blocks = Array.from({ length: count }, (_, id) => new Block(id))
    this.#blank = this.#blocks.toReversed()
  }

  get numBlocks(): number {
    return this.#blocks.length
  }

  get numIdle(): number {
    return this.#idle.size + this.#idleKept.size
  }

  get numEvicted(): number {
    return this.#numEvicted
  }

  /** Blocks that `take` could give. */
  get numAvailable(): number {
    return this.#blank.length + this.numIdle
  }

  /** An empty block, held once. The caller has counted: throws when there is none. */
  take(): Block {
    const block = this.#blank.pop() ?? this.#evict()
    block.tokens.length = 0
    block.numHolders = 1
    return block
  }

  hold(block: Block): void {
    if (block.numHolders++ > 0) return
    this.#idle.delete(block)
    this.#idleKept.delete(block)
  }

  drop(block: Block): void {
    if (--block.numHolders > 0) return
    if (block.stem === undefined) this.#blank.push(block)
    else this.#idleOf(block).add(block)
  }

  /** What a session keeps. */
  keptBy(session: string): readonly Block[] {
    return this.#kept.get(session) ?? []
  }

  /** A session keeps these from now on, instead of what it kept before. */
  keep(session: string, blocks: readonly Block[]): void {
    for (const block of blocks) block.numKeepers++
    this.letGo(session)
    if (blocks.length === 0) return
    this.#kept.set(session, blocks)
    // Last block first: what was idle before must not stand behind what it continues.
    for (const block of blocks.toReversed()) this.#moveIdle(block)
  }

  /** What a session kept is as any other from now on. */
  letGo(session: string): void {
    const blocks = this.keptBy(session)
    this.#kept.delete(session)
    for (const block of blocks.toReversed()) {
      block.numKeepers--
      this.#moveIdle(block)
    }
  }

  /** A block is about to hold something else: whoever kept it keeps what comes before it. */
  spoil(block: Block): void {
    if (block.numKeepers === 0) return
    for (const [session, blocks] of this.#kept) {
      const index = blocks.indexOf(block)
      if (index >= 0) this.keep(session, blocks.slice(0, index))
    }
  }

  /** Nothing can be found any more; what is held stays held. */
  forget(): void {
    for (const block of this.#blocks) {
      block.stem = undefined
      block.followers.clear()
      block.numKeepers = 0
    }
    this.#blank.push(...this.#idle, ...this.#idleKept)
    this.#idle.clear()
    this.#idleKept.clear()
    this.#kept.clear()
    this.#tree.clear()
  }

  /** Throws where an invariant is broken. For tests. @param holders how often each block stands in a table. */
  check(holders: ReadonlyMap<Block, number>): void {
    const blank = new Set(this.#blank)
    if (blank.size !== this.#blank.length) throw new Error('a block is blank twice')
    for (const block of this.#blocks) {
      const wanted = holders.get(block) ?? 0
      if (block.numHolders !== wanted)
        throw new Error(`block ${block.id} counts ${block.numHolders} holders, not ${wanted}`)
      const isIdle = wanted === 0 && block.stem !== undefined
      const isKept = block.numKeepers > 0
      if (
        this.#idle.has(block) !== (isIdle && !isKept) ||
        this.#idleKept.has(block) !== (isIdle && isKept) ||
        blank.has(block) !== (wanted === 0 && !isIdle)
      )
        throw new Error(`block ${block.id} is in the wrong list`)
    }
    this.#checkKept()
    this.#tree.check(this.#blocks)
  }

  #checkKept(): void {
    const counts = new Map<Block, number>()
    for (const blocks of this.#kept.values())
      blocks.forEach((block, index) => {
        counts.set(block, (counts.get(block) ?? 0) + 1)
        if (block.stem === undefined || (index > 0 && block.stem !== blocks[index - 1]))
          throw new Error('a session keeps what is no text')
      })
    for (const block of this.#blocks)
      if (block.numKeepers !== (counts.get(block) ?? 0))
        throw new Error(`block ${block.id} counts ${block.numKeepers} sessions`)
  }

  /** Puts an idle block at the end of the list that it belongs to. */
  #moveIdle(block: Block): void {
    if (this.#idle.delete(block) || this.#idleKept.delete(block)) this.#idleOf(block).add(block)
  }

  #idleOf({ numKeepers }: Block): Set<Block> {
    return numKeepers > 0 ? this.#idleKept : this.#idle
  }

  #evict(): Block {
    const block = firstOf(this.#idle) ?? firstOf(this.#idleKept)
    if (block === undefined) throw new Error('a block was counted as available and is not')
    this.spoil(block)
    this.#idle.delete(block)
    this.#tree.remove(block)
    this.#numEvicted++
    return block
  }
}

function firstOf(blocks: ReadonlySet<Block>): Block | undefined {
  return blocks.values().next().value
}

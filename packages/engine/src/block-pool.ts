import type { BlockTree, Stem } from './block-tree.ts'

/** One block of KV: who holds it, what it holds, and where it is found. */
export class Block implements Stem {
  /** Where it is in the runner's memory. */
  readonly id: number
  /** Tables that it stands in. */
  numHolders = 0
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
 * wanted and none is blank: the longest unused first. Who drops a table drops its last block first, so that the end of a text is
 * evicted before its beginning: a beginning without its end is useful, an end without its beginning is not.
 */
export class BlockPool {
  readonly #tree: BlockTree
  readonly #blocks: readonly Block[]
  readonly #blank: Block[]
  /** In the order in which they were dropped. */
  readonly #idle = new Set<Block>()
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
    return this.#idle.size
  }

  get numEvicted(): number {
    return this.#numEvicted
  }

  /** Blocks that `take` could give. */
  get numAvailable(): number {
    return this.#blank.length + this.#idle.size
  }

  /** An empty block, held once. The caller has counted: throws when there is none. */
  take(): Block {
    const block = this.#blank.pop() ?? this.#evict()
    block.tokens.length = 0
    block.numHolders = 1
    return block
  }

  hold(block: Block): void {
    if (block.numHolders++ === 0) this.#idle.delete(block)
  }

  drop(block: Block): void {
    if (--block.numHolders > 0) return
    if (block.stem === undefined) this.#blank.push(block)
    else this.#idle.add(block)
  }

  /** Nothing can be found any more; what is held stays held. */
  forget(): void {
    for (const block of this.#blocks) {
      block.stem = undefined
      block.followers.clear()
    }
    this.#blank.push(...this.#idle)
    this.#idle.clear()
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
      if (this.#idle.has(block) !== isIdle || blank.has(block) !== (wanted === 0 && !isIdle))
        throw new Error(`block ${block.id} is in the wrong list`)
    }
    this.#tree.check(this.#blocks)
  }

  #evict(): Block {
    for (const block of this.#idle) {
      this.#idle.delete(block)
      this.#tree.remove(block)
      this.#numEvicted++
      return block
    }
    throw new Error('a block was counted as available and is not')
  }
}

import type { Block } from './block-pool.ts'
import { hashTokens } from './prefix-index.ts'

/** What a block continues: another block, or nothing, under a salt. */
export interface Stem {
  /** The blocks that continue it, by the hash of their tokens. */
  readonly followers: Map<number, Block>
}

/** A block that begins as wanted, and how many of its tokens do. */
export interface PartOfBlock {
  readonly block: Block
  readonly length: number
}

/**
 * Findable blocks, each behind the block that it continues: where vLLM chains hashes (docs/design/prefix_caching.md), the chain
 * is here the way down the tree, so that neither a salt nor a beginning can be mistaken for another whose hash is the same.
 *
 * Invariants: what a block continues is findable, and every table that holds a block holds what it continues.
 */
export class BlockTree {
  readonly #roots = new Map<string, Root>()
  #numStored = 0

  /** How often a block became findable. */
  get numStored(): number {
    return this.#numStored
  }

  /** Full blocks, from the beginning of `tokens` on, that end at `limit` or before. */
  find(salt: string, tokens: readonly number[], limit: number, blockTokens: number): readonly Block[] {
    const found: Block[] = []
    let stem: Stem | undefined = this.#roots.get(salt)
    for (let end = blockTokens; stem !== undefined && end <= limit; end += blockTokens) {
      const begin = end - blockTokens
      const block: Block | undefined = stem.followers.get(hashTokens(tokens, begin, end))
      if (
        block?.tokens.length !== blockTokens ||
        commonLength(block.tokens, tokens, begin, end) < blockTokens
      )
        break
      found.push(block)
      stem = block
    }
    return found
  }

  /** The block behind `before`, a block or a salt, that has the longest beginning in common with `tokens` from `begin` to `end`. */
  longest(
    before: Block | string,
    tokens: readonly number[],
    begin: number,
    end: number,
  ): PartOfBlock | undefined {
    const stem = typeof before === 'string' ? this.#roots.get(before) : before
    let best: PartOfBlock | undefined
    for (const block of stem?.followers.values() ?? []) {
      const length = commonLength(block.tokens, tokens, begin, end)
      if (length > (best?.length ?? 0)) best = { block, length }
    }
    return best
  }

  /**
   * Makes a block findable. Gives the one that holds the same already, if there is one, and `undefined` where it cannot be
   * findable: what it continues is not, or another block has the same hash.
   */
  add(before: Block | string, block: Block): Block | undefined {
    const stem = typeof before === 'string' ? this.#root(before) : before
    if (typeof before !== 'string' && before.stem === undefined) return undefined
    const { tokens } = block
    const hash = hashTokens(tokens, 0, tokens.length)
    const known = stem.followers.get(hash)
    if (known === undefined) {
      stem.followers.set(hash, block)
      block.stem = stem
      this.#numStored++
      return block
    }
    const isSame =
      known.tokens.length === tokens.length &&
      commonLength(known.tokens, tokens, 0, tokens.length) === tokens.length
    return isSame ? known : undefined
  }

  /** Nothing may continue it. */
  remove(block: Block): void {
    const { stem, tokens, followers } = block
    if (followers.size > 0) throw new Error('a block is forgotten before what continues it')
    stem?.followers.delete(hashTokens(tokens, 0, tokens.length))
    block.stem = undefined
    if (stem instanceof Root && stem.followers.size === 0) this.#roots.delete(stem.salt)
  }

  /** The roots only: blocks are their owner's. */
  clear(): void {
    this.#roots.clear()
  }

  /** Throws where an invariant is broken. For tests. */
  check(blocks: readonly Block[]): void {
    const stems = new Set<Stem>([...this.#roots.values(), ...blocks.filter(({ stem }) => stem !== undefined)])
    let numFollowers = 0
    for (const stem of stems) {
      numFollowers += stem.followers.size
      for (const block of stem.followers.values())
        if (block.stem !== stem) throw new Error(`block ${block.id} is found where it is not`)
    }
    if (numFollowers !== stems.size - this.#roots.size) throw new Error('a findable block is not found')
    if (blocks.some(({ stem, followers }) => stem === undefined && followers.size > 0))
      throw new Error('a block continues one that cannot be found')
  }

  #root(salt: string): Root {
    const root = this.#roots.get(salt) ?? new Root(salt)
    this.#roots.set(salt, root)
    return root
  }
}

class Root implements Stem {
  readonly salt: string
  readonly followers = new Map<number, Block>()

  constructor(salt: string) {
    this.salt = salt
  }
}

/** How many of the tokens from `begin` to `end` a block that holds `held` begins with. */
export function commonLength(
  held: readonly number[],
  tokens: readonly number[],
  begin: number,
  end: number,
): number {
  const most = Math.min(held.length, end - begin)
  let length = 0
  while (length < most && held[length] === tokens[begin + length]) length++
  return length
}

/** Tokens a block: what is shorter than one is not worth finding. */
export const BLOCK_TOKENS = 16

/** A chain of hashes, one a full block; each covers everything before it, so equal hashes mean equal beginnings (but for collisions). */
export type BlockChain = readonly number[]

/**
 * Who holds which beginning of a token list: vLLM's prefix caching (docs/design/prefix_caching.md), hash → holders. A block's
 * reference count is the number of its holders; a block without one is gone. Hashes may collide: compare tokens before use.
 */
export class PrefixIndex<Holder> {
  readonly #holders = new Map<number, Set<Holder>>()

  /** Blocks that somebody holds. */
  get size(): number {
    return this.#holders.size
  }

  add(block: number, holder: Holder): void {
    const holders = this.#holders.get(block)
    if (holders === undefined) this.#holders.set(block, new Set([holder]))
    else holders.add(holder)
  }

  remove(block: number, holder: Holder): void {
    const holders = this.#holders.get(block)
    if (holders?.delete(holder) === true && holders.size === 0) this.#holders.delete(block)
  }

  /** Those who hold the longest beginning of `tokens`, in whole blocks. */
  find(salt: string, tokens: readonly number[]): ReadonlySet<Holder> {
    let found: ReadonlySet<Holder> = new Set()
    let hash = rootOf(salt)
    for (let end = BLOCK_TOKENS; end <= tokens.length; end += BLOCK_TOKENS) {
      hash = hashBlock(hash, tokens, end)
      const holders = this.#holders.get(hash)
      if (holders === undefined) break
      found = holders
    }
    return found
  }
}

/** Where the chains of a salt begin. */
export function rootOf(salt: string): number {
  let hash = 0
  for (let index = 0; index < salt.length; index++) hash = mix(hash, salt.charCodeAt(index) + 1)
  return hash
}

/** The hash of the block that ends before `end`, behind `parent`. */
export function hashBlock(parent: number, tokens: readonly number[], end: number): number {
  return hashTokens(tokens, end - BLOCK_TOKENS, end, parent)
}

/** Of the tokens from `begin` to `end`, behind what has the hash `parent`. */
export function hashTokens(tokens: readonly number[], begin: number, end: number, parent = 0): number {
  let hash = parent
  for (let index = begin; index < end; index++) hash = mix(hash, tokens[index]!)
  return hash
}

/** One round of MurmurHash3 (Appleby, public domain) over 32 bits. */
function mix(hash: number, value: number): number {
  let word = Math.imul(value, 0xcc9e2d51)
  word = Math.imul((word << 15) | (word >>> 17), 0x1b873593)
  const mixed = hash ^ word
  return (Math.imul((mixed << 13) | (mixed >>> 19), 5) + 0xe6546b64) | 0
}

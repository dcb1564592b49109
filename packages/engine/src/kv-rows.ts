import type { KvCopy } from './model-runner.ts'
import type { Row } from './kv-row.ts'
import { MutableRow } from './kv-row.ts'
import { BLOCK_TOKENS, PrefixIndex, hashBlock, rootOf } from './prefix-index.ts'

/** A row for somebody, how many of their tokens it already holds, and the copies that make it true. */
export interface Acquired<Owner> {
  readonly row: Row<Owner>
  readonly numCached: number
  readonly copies: readonly KvCopy[]
}

/** What to look for. */
export interface Prefix<Owner> {
  readonly tokens: readonly number[]
  /** Most tokens that may count as cached. */
  readonly limit: number
  /** Only rows of the same salt are found. */
  readonly salt: string
  /** Rows that are looked at even where they share less than a block. */
  readonly relatives: readonly Row<Owner>[]
  /** Whose row may be taken, though it is kept. */
  readonly session: string | undefined
}

/**
 * The books of the KV rows: who owns which, what every row remembers, and where it is. Decides, and says what to copy; copies
 * must be carried out in order before the next forward pass.
 *
 * Invariants: a row has at most one owner, an owner one row; the index knows every full block of every row and no other; a session keeps at most
 * one row.
 */
export class KvRows<Owner> {
  readonly #rows: MutableRow<Owner>[]
  readonly #index = new PrefixIndex<MutableRow<Owner>>()
  #clock = 0

  constructor(count: number) {
    this.#rows = Array.from({ length: count }, (_, index) => new MutableRow<Owner>(index))
  }

  get rows(): readonly Row<Owner>[] {
    return this.#rows
  }

  get numFree(): number {
    return this.#rows.reduce((count, { owner }) => count + (owner === undefined ? 1 : 0), 0)
  }

  /** Blocks that can be found. */
  get numBlocks(): number {
    return this.#index.size
  }

  /**
   * Gives `owner` a free row: one that remembers the longest beginning of `tokens`, in place or as a copy, whichever forgets
   * less; else the least recently used. `undefined` when no row is free.
   */
  acquire(owner: Owner, prefix: Prefix<Owner>): Acquired<Owner> | undefined {
    const { tokens, salt, session } = prefix
    const best = this.#longest(prefix)
    const victim = this.#leastRecentlyUsed(best?.row)
    if (best === undefined) {
      if (victim === undefined) return undefined
      this.#clear(victim, salt)
      this.#give(victim, owner)
      return { row: victim, numCached: 0, copies: [] }
    }
    const { row: source, length } = best
    source.lastUsed = ++this.#clock
    const loss = source.tokens.length - length
    if (source.owner === undefined && isBetterInPlace(source, loss, victim, session)) {
      source.sessions.clear()
      this.#truncate(source, length)
      this.#give(source, owner)
      return { row: source, numCached: length, copies: [] }
    }
    if (victim === undefined) return undefined
    this.#clear(victim, salt)
    this.#append(victim, tokens.slice(0, length))
    this.#give(victim, owner)
    const copy: KvCopy = { from: source.index, to: victim.index, numTokens: length, swap: false }
    return { row: victim, numCached: length, copies: [copy] }
  }

  /** How many tokens `acquire` would find. */
  numFindable(prefix: Prefix<Owner>): number {
    return this.#longest(prefix)?.length ?? 0
  }

  /** Books that the model has written the KV of `tokens` from position `from` on. What was behind is gone. */
  write(owned: Row<Owner>, from: number, tokens: readonly number[]): void {
    const row = this.#of(owned)
    if (from > row.tokens.length)
      throw new Error(`row ${row.index} holds ${row.tokens.length} tokens, not ${from}`)
    this.#truncate(row, from)
    this.#append(row, tokens)
    row.lastUsed = ++this.#clock
  }

  /** Forgets what is behind `length`, tail first. */
  truncate(owned: Row<Owner>, length: number): void {
    this.#truncate(this.#of(owned), length)
  }

  /** The owner goes; what the row holds stays to be found. @param session wants it kept, instead of what it kept before. */
  release(owned: Row<Owner>, session?: string): void {
    const row = this.#of(owned)
    row.owner = undefined
    row.lastUsed = ++this.#clock
    if (!row.findable) this.#truncate(row, 0)
    if (session !== undefined) this.#keep(row, session)
  }

  /** The row that a session keeps. */
  keptBy(session: string): Row<Owner> | undefined {
    return this.#rows.find(({ sessions }) => sessions.has(session))
  }

  /** One session keeps what another does, too. */
  share(from: string, to: string): void {
    const row = this.#rows.find(({ sessions }) => sessions.has(from))
    if (row !== undefined) this.#keep(row, to)
  }

  /** What a session kept is as any other from now on. */
  letGo(session: string): void {
    for (const { sessions } of this.#rows) sessions.delete(session)
  }

  /** An empty row that nobody owns, for KV that comes from elsewhere. `undefined` when no row is free. */
  reserve(salt: string): Row<Owner> | undefined {
    const victim = this.#leastRecentlyUsed(undefined)
    if (victim !== undefined) this.#clear(victim, salt)
    return victim
  }

  /** Books that a reserved row holds the KV of `tokens` now, and that a session keeps it. */
  fill(reserved: Row<Owner>, tokens: readonly number[], session: string): void {
    const row = this.#of(reserved)
    this.#append(row, tokens)
    row.lastUsed = ++this.#clock
    this.#keep(row, session)
  }

  /** Forgets what free rows remember. What owned rows hold cannot be found any more. */
  reset(): void {
    for (const row of this.#rows) {
      if (row.owner === undefined) this.#truncate(row, 0)
      row.sessions.clear()
      for (const block of row.blocks.splice(0)) this.#index.remove(block, row)
      row.findable = row.owner === undefined
    }
  }

  /** Puts `owned` into the rows from `first` on, in any order, by swapping as few as possible. */
  arrange(owned: readonly Row<Owner>[], first: number): readonly KvCopy[] {
    const end = first + owned.length
    const isInside = (index: number) => index >= first && index < end
    const copies: KvCopy[] = []
    let hole = first
    for (const moving of owned) {
      if (isInside(moving.index)) continue
      while (owned.includes(this.#rows[hole]!)) hole++
      copies.push(this.#swap(this.#of(moving), this.#rows[hole]!))
    }
    return copies
  }

  /** Throws where an invariant is broken. For tests. */
  check(): void {
    const owners = this.#rows.flatMap(({ owner }) => (owner === undefined ? [] : [owner]))
    if (new Set(owners).size !== owners.length) throw new Error('somebody owns two rows')
    const sessions = this.#rows.flatMap((row) => [...row.sessions])
    if (new Set(sessions).size !== sessions.length) throw new Error('a session keeps two rows')
    const known = new Set<number>()
    this.#rows.forEach((row, index) => {
      if (row.index !== index) throw new Error(`row ${index} thinks that it is ${row.index}`)
      const wanted = row.findable ? Math.floor(row.tokens.length / BLOCK_TOKENS) : 0
      if (row.blocks.length !== wanted)
        throw new Error(`row ${index} has ${row.blocks.length} blocks, not ${wanted}`)
      for (const block of row.blocks) known.add(block)
    })
    if (known.size !== this.#index.size) throw new Error('the index knows blocks that no row holds')
  }

  #longest({ tokens, limit, salt, relatives }: Prefix<Owner>): Found<Owner> | undefined {
    let best: Found<Owner> | undefined
    const consider = (row: MutableRow<Owner>, least: number) => {
      if (row.salt !== salt || !row.findable) return
      const length = commonLength(row.tokens, tokens, limit)
      if (length < least) return // a collision of hashes, or a low limit
      if (best === undefined || length > best.length || (length === best.length && isBetter(row, best.row)))
        best = { row, length }
    }
    for (const row of this.#index.find(salt, tokens)) consider(row, BLOCK_TOKENS)
    for (const row of relatives) consider(this.#of(row), 1)
    return best
  }

  /** The free row to overwrite: an empty one, else the one that was used longest ago, of those that no session keeps if there is one. Never `except`. */
  #leastRecentlyUsed(except: MutableRow<Owner> | undefined): MutableRow<Owner> | undefined {
    let victim: MutableRow<Owner> | undefined
    for (const row of this.#rows) {
      if (row.owner !== undefined || row === except) continue
      if (row.tokens.length === 0) return row
      if (victim === undefined || goesBefore(row, victim)) victim = row
    }
    return victim
  }

  /** The row as if nobody had ever used it. */
  #clear(row: MutableRow<Owner>, salt: string): void {
    this.#truncate(row, 0)
    row.sessions.clear()
    row.salt = salt
    row.findable = true
  }

  #keep(row: MutableRow<Owner>, session: string): void {
    this.letGo(session)
    row.sessions.add(session)
  }

  #give(row: MutableRow<Owner>, owner: Owner): void {
    row.owner = owner
    row.lastUsed = ++this.#clock
  }

  #append(row: MutableRow<Owner>, tokens: readonly number[]): void {
    for (const token of tokens) {
      const length = row.tokens.push(token)
      if (!row.findable || length % BLOCK_TOKENS !== 0) continue
      const block = hashBlock(row.blocks.at(-1) ?? rootOf(row.salt), row.tokens, length)
      row.blocks.push(block)
      this.#index.add(block, row)
    }
  }

  #truncate(row: MutableRow<Owner>, length: number): void {
    if (length >= row.tokens.length) return
    row.tokens.length = length
    while (row.blocks.length * BLOCK_TOKENS > length) this.#index.remove(row.blocks.pop()!, row)
  }

  #swap(left: MutableRow<Owner>, right: MutableRow<Owner>): KvCopy {
    const from = left.index
    const to = right.index
    this.#rows[from] = right
    this.#rows[to] = left
    left.index = to
    right.index = from
    const [numLeft, numRight] = [left.tokens.length, right.tokens.length]
    // A row that holds nothing need not be carried: one copy instead of the three of a swap.
    if (numLeft === 0) return { from: to, to: from, numTokens: numRight, swap: false }
    return { from, to, numTokens: Math.max(numLeft, numRight), swap: numRight > 0 }
  }

  #of(row: Row<Owner>): MutableRow<Owner> {
    const own = this.#rows[row.index]
    if (own !== row) throw new Error('a row of other books')
    return own
  }
}

interface Found<Owner> {
  readonly row: MutableRow<Owner>
  readonly length: number
}

/** A free row is better than an owned one, which must be copied; of two, the one used longest ago. */
function isBetter(row: MutableRow<unknown>, than: MutableRow<unknown>): boolean {
  if ((row.owner === undefined) !== (than.owner === undefined)) return row.owner === undefined
  return row.lastUsed < than.lastUsed
}

/** Whether a free row that begins as wanted had better be cut where the texts part than be copied over `victim`. */
function isBetterInPlace(
  source: MutableRow<unknown>,
  loss: number,
  victim: MutableRow<unknown> | undefined,
  session: string | undefined,
): boolean {
  if (victim === undefined) return true
  const isCheap = loss <= victim.tokens.length || loss < BLOCK_TOKENS
  const isVictimKept = victim.sessions.size > 0
  return source.isWantedBesides(session) ? isCheap && isVictimKept : isCheap || isVictimKept
}

/** Which of two rows is overwritten first. */
function goesBefore(row: MutableRow<unknown>, than: MutableRow<unknown>): boolean {
  const [isKept, isOtherKept] = [row.sessions.size > 0, than.sessions.size > 0]
  return isKept === isOtherKept ? row.lastUsed < than.lastUsed : isOtherKept
}

/** Length of the longest common beginning, at most `limit`. */
export function commonLength(left: readonly number[], right: readonly number[], limit: number): number {
  const end = Math.min(left.length, right.length, limit)
  let length = 0
  while (length < end && left[length] === right[length]) length++
  return length
}

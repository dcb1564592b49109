import { expect, test } from 'playwright/test'
import { KvBlocks } from '../../packages/engine/src/kv-blocks.ts'
import { hashTokens } from '../../packages/engine/src/prefix-index.ts'
import { Random } from '../../packages/engine/src/random.ts'

const list = (length: number, seed = 0) => Array.from({ length }, (_, index) => index * 7 + seed)

/** A table with all of `tokens` written, and how many of them were found. */
function fill(kv: KvBlocks, tokens: readonly number[], salt = '') {
  const limit = tokens.length - 1
  const acquired = kv.acquire({ tokens, limit, salt, relatives: [], numSpare: 0 })
  if (acquired === undefined) return undefined
  const numCached = acquired.table.numTokens
  kv.write(acquired.table, tokens.slice(numCached))
  kv.check()
  return { ...acquired, numCached }
}

test('the longest unused is evicted first, and the end of a text before its beginning', () => {
  const kv = new KvBlocks(8, 4)
  for (const seed of [0, 1000]) kv.release(fill(kv, list(16, seed))!.table)
  const third = fill(kv, list(9, 2000))!
  expect(kv.numFindable({ salt: '', tokens: list(16), limit: 16 })).toBe(4)
  expect(kv.numFindable({ salt: '', tokens: list(16, 1000), limit: 16 })).toBe(16)
  kv.release(third.table)
  kv.check()
})

test('blocks of those who run are never evicted: who finds too few gets none, and nothing has changed', () => {
  const kv = new KvBlocks(4, 4)
  const first = fill(kv, list(10))!
  expect(fill(kv, list(8, 500))).toBeUndefined()
  expect(kv.resize(first.table, 17)).toBeUndefined()
  expect({ used: kv.numUsed, available: kv.numAvailable }).toEqual({ used: 3, available: 1 })
  kv.check()
})

test('a shared block is copied before it is written, also by who truncates into it', () => {
  const kv = new KvBlocks(8, 4)
  const first = fill(kv, list(8))!
  const second = fill(kv, [...list(8), 9])!
  expect(second.numCached).toBe(8)
  kv.truncate(first.table, 1)
  const copies = kv.resize(first.table, 3)
  expect(copies).toMatchObject([{ numTokens: 1, swap: false }])
  kv.write(first.table, [70, 71])
  kv.check()
  expect([...first.table.ids(1)]).not.toEqual([...second.table.ids(1)])
  expect(() => kv.write(second.table, [1, 2, 3, 4, 5])).toThrow()
})

test('two texts whose hashes are the same are kept apart by their tokens, and salts by themselves', () => {
  const random = new Random(1)
  const seen = new Map<number, number[]>()
  let pair: [number[], number[]] | undefined
  while (pair === undefined) {
    const tokens = Array.from({ length: 4 }, () => Math.floor(random.next() * 50_000))
    const hash = hashTokens(tokens, 0, 4)
    const known = seen.get(hash)
    if (known !== undefined && known.join() !== tokens.join()) pair = [known, tokens]
    seen.set(hash, tokens)
  }
  const kv = new KvBlocks(8, 4)
  kv.release(fill(kv, [...pair[0], 1])!.table)
  expect(fill(kv, [...pair[1], 1])?.numCached).toBe(0)
  expect(fill(kv, [...pair[0], 1], 'salt')?.numCached).toBe(0)
  expect(fill(kv, [...pair[0], 1])?.numCached).toBe(4)
})

test('what two have computed apart is kept once', () => {
  const kv = new KvBlocks(8, 4)
  const acquire = () => kv.acquire({ tokens: list(9), limit: 0, salt: '', relatives: [], numSpare: 0 })!.table
  const [left, right] = [acquire(), acquire()]
  for (const table of [left, right]) kv.write(table, list(9))
  kv.check()
  expect([...left.ids(2)]).toEqual([...right.ids(2)])
  expect(kv.numUsed).toBe(4)
})

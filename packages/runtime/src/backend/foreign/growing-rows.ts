import type { KvElements, KvShape } from '../kv-layout.ts'

/** Rows of a cache that a graph continues: of a row's positions only the first `from` are valid. */
export interface GrowingRows {
  readonly firstRow: number
  /** Valid positions, one a row. */
  readonly froms: readonly number[]
  /** Positions that the graph is fed: the most of them. */
  readonly past: number
}

/** The rows as one past [rows, heads, past, size]: each ends at the end, and is filled up with zeros before its beginning. */
export function gatherPast<T extends KvElements>(
  cache: T,
  shape: KvShape,
  { firstRow, froms, past }: GrowingRows,
  target: T,
): void {
  const { heads, capacity, size } = shape
  for (const [row, from] of froms.entries()) {
    for (let head = 0; head < heads; head++) {
      const source = ((firstRow + row) * heads + head) * capacity * size
      const begin = (row * heads + head) * past * size
      const pad = (past - from) * size
      target.fill(0, begin, begin + pad)
      target.set(cache.subarray(source, source + from * size), begin + pad)
    }
  }
}

/** Takes what is new out of a present [rows, heads, past + width, size] into the rows. */
export function appendNew(
  cache: KvElements,
  shape: KvShape,
  { firstRow, froms, past }: GrowingRows,
  present: KvElements,
  width: number,
): void {
  const { heads, capacity, size } = shape
  for (const [row, from] of froms.entries()) {
    for (let head = 0; head < heads; head++) {
      const end = (row * heads + head + 1) * (past + width) * size
      const target = (((firstRow + row) * heads + head) * capacity + from) * size
      cache.set(present.subarray(end - width * size, end), target)
    }
  }
}

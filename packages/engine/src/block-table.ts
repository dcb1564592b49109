import type { Block } from './block-pool.ts'

/** A sequence's blocks: entry i holds positions i·blockTokens and on. */
export interface BlockTable {
  /** Positions whose KV is there. */
  readonly numTokens: number
  readonly numBlocks: number
  /** Ids of the first `count` blocks. */
  ids(count: number): Int32Array
}

/** As its books see it. */
export class OwnedTable implements BlockTable {
  readonly salt: string
  readonly blocks: Block[] = []
  numTokens = 0
  /** Whether others may find what it holds: not after a reset. */
  findable = true

  constructor(salt: string) {
    this.salt = salt
  }

  get numBlocks(): number {
    return this.blocks.length
  }

  ids(count: number): Int32Array {
    const ids = new Int32Array(count)
    for (let index = 0; index < count; index++) ids[index] = this.blocks[index]!.id
    return ids
  }
}

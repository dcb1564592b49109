import type { KvCopy } from '@tabserve/engine'
import type { KvElements } from '../kv-layout.ts'
import type { ForeignBatch } from './foreign-batch.ts'

/** The files of a foreign decoder; weights by the names that the graph has for them. */
export interface ForeignFiles {
  readonly graph: Uint8Array
  readonly externalData: ReadonlyMap<string, Uint8Array>
}

/** A foreign graph that runs, and the rows of its cache. */
export interface ForeignSession {
  /** Bytes that the cache holds now. */
  readonly kvBytes: number
  /** Makes room for `length` positions a row. Throws when there is none; what there was is then as it was. */
  reserve(length: number): void
  /**
   * Runs the graph; room is reserved. Logits [numRows, logitsWidth, vocabSize] of the graph's type, valid until the next run; they may be
   * missing where no run of the batch wants any.
   */
  run(batch: ForeignBatch): Promise<KvElements>
  copyKv(copies: readonly KvCopy[]): void
  /** See `ModelRunner`. */
  readonly kvLayout: string
  readKv(row: number, numTokens: number): Uint8Array<ArrayBuffer>
  writeKv(row: number, numTokens: number, bytes: Uint8Array): void
  dispose(): Promise<void>
}

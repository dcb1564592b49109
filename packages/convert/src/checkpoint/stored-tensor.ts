import type { Q4Matrix } from '../quantization/q4-matrix.ts'

/** A tensor in a checkpoint file, read when it is needed. */
export interface StoredTensor {
  readonly name: string
  /** As in PyTorch: [rows, columns] of a matrix, [n] of a vector, which is read as n rows of one. */
  readonly shape: readonly number[]
  /** What the file calls its numbers: BF16, Q4_K. */
  readonly type: string
  /** Rows `begin` to `end` − 1, fp32. Throws where they hold numbers that are not finite. */
  readonly read: (begin: number, end: number) => Float32Array
  /** The same rows as 4-bit blocks, where they are such blocks. */
  readonly blocks?: ((begin: number, end: number) => Q4Matrix) | undefined
}

/** The weights of a model, in however many files, by the names that they have there. */
export interface Checkpoint {
  readonly tensors: ReadonlyMap<string, StoredTensor>
  dispose(): void
}

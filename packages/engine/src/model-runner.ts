/** What a model can be asked in one step. */
export interface Capabilities {
  /** Prompt chunks and decode rows of several sequences, drafts included, in one step. */
  readonly mixed: boolean
  /** Several whole prompts, from position 0, in one step (of a runner that is not mixed). */
  readonly batchedPrefill: boolean
  /** KV in blocks that a table lists, any sequence any block; `undefined` where a sequence's KV is one row. */
  readonly paged: { readonly numBlocks: number; readonly blockTokens: number } | undefined
  /** Sequences that can be in flight at once: KV rows, where KV lies in rows. */
  readonly maxRows: number
  /** Positions of one sequence. */
  readonly maxContext: number
  /** Largest number of tokens in one step, padding included: bounds how long a step blocks the worker. */
  readonly maxTokensPerStep: number
  readonly vocabSize: number
}

/** Where a sequence's KV lies: a row, or a table of blocks, of which entry i holds positions i·blockTokens and on. */
export type KvPlace = { readonly row: number } | { readonly blocks: Int32Array }

/** Tokens of one sequence that go through the model together. A decode row is a run of one token, a prompt chunk a run of many. */
export interface Run {
  /** Where the sequence's KV is and goes. A block table covers every position up to the last of `tokens`. */
  readonly kv: KvPlace
  /** Position of the first token: how much of the KV is valid before this step. */
  readonly from: number
  readonly tokens: Int32Array
  readonly wantLogits: 'none' | 'last' | 'all'
  /** How many of the largest logits of each wanted row are enough; 0: whole rows. A runner may give whole rows all the same. */
  readonly top: number
}

/**
 * One forward pass, of different sequences. On a `mixed` runner: runs of any length side by side. Else: one run of any length;
 * or decode rows in neighbouring KV rows; or, with `batchedPrefill`, whole prompts in neighbouring rows. Runs may share blocks
 * that nobody writes in this step.
 */
export interface Step {
  readonly runs: readonly Run[]
}

/** float32 [n, vocabSize], n = 0, 1 or the run's tokens; or, with `tokens`, [n, top]: the logits of those tokens, ids ascending in each row. */
export interface Logits {
  readonly values: Float32Array
  /** int32 [n, top]. Of equal logits at the edge, the lowest ids are given. */
  readonly tokens: Int32Array | undefined
}

export interface StepResult {
  /** One entry a run. Views of the runner's memory: valid until its next step. */
  readonly outputs: readonly Logits[]
}

/** KV of the first `numTokens` positions of a row or block goes to another, or, with `swap` (rows only), changes places with it. */
export interface KvCopy {
  readonly from: number
  readonly to: number
  readonly numTokens: number
  readonly swap: boolean
}

/** The engine's only view of a model. Runs one step at a time; the caller waits for each. */
export interface ModelRunner {
  readonly capabilities: Capabilities
  /** Bytes that the KV cache holds now. */
  readonly kvBytes: number
  /** Rejects when the pass fails; the KV of the sequences in the step is then undefined from `from` on. */
  run(step: Step): Promise<StepResult>
  /** Carries the copies out in order. Never while a step runs. */
  copyKv(copies: readonly KvCopy[]): void
  /** How `readKv` lays its bytes out: geometry, element type, order. Bytes mean the same to every runner of one model with an equal layout. */
  readonly kvLayout: string
  /** A copy of the KV of the first `numTokens` positions. Never while a step runs. Rejects with `device_lost` where that happened. */
  readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>>
  /**
   * Puts back what `readKv` gave for as many positions. Never while a step runs. Rejects with a plain `Error` for bytes of another length, and then
   * has written nothing; with `device_lost`.
   */
  writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void>
  dispose(): Promise<void>
}

/** What a model can be asked in one step. */
export interface Capabilities {
  /** Prompt chunks and decode rows of several sequences in one step. */
  readonly mixed: boolean
  /** Several whole prompts, from position 0, in one step. */
  readonly batchedPrefill: boolean
  /** KV rows: sequences that can be in flight at once. */
  readonly maxRows: number
  /** Positions that a row holds. */
  readonly maxContext: number
  /** Largest number of tokens in one step, padding included: bounds how long a step blocks the worker. */
  readonly maxTokensPerStep: number
  readonly vocabSize: number
}

/** Tokens of one sequence that go through the model together. A decode row is a run of one token, a prompt chunk a run of many. */
export interface Run {
  /** KV row of the sequence. */
  readonly row: number
  /** Position of the first token: how much of the row is valid before this step. */
  readonly from: number
  readonly tokens: Int32Array
  readonly wantLogits: 'none' | 'last' | 'all'
}

/**
 * One forward pass: one run of any length; or decode rows side by side, in neighbouring rows by index; or, where the runner
 * has `batchedPrefill`, whole prompts in neighbouring rows.
 */
export interface Step {
  readonly runs: readonly Run[]
}

export interface StepResult {
  /** One entry a run: float32 [n, vocabSize], n = 0, 1 or the run's tokens. Views of the runner's memory: valid until its next step. */
  readonly logits: readonly Float32Array[]
}

/** KV of the first `numTokens` positions goes from one row to another, or, with `swap`, changes places with it. */
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
  /** Rejects when the pass fails; the KV of the rows in the step is then undefined from `from` on. */
  run(step: Step): Promise<StepResult>
  /** Carries the copies out in order. Never while a step runs. */
  copyKv(copies: readonly KvCopy[]): void
  dispose(): Promise<void>
}

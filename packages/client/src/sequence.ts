import type { InferRequest, RunRequest, SequenceStep, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { InferResult, OneShotOptions, RunResult } from './inference.ts'

/** What a sequence asks its client. */
export interface SequenceClient {
  infer(request: OneShotOptions<InferRequest>): Promise<InferResult>
  run(request: OneShotOptions<RunRequest>): Promise<RunResult<unknown>>
}

type ChunkOptions = Omit<
  OneShotOptions<InferRequest>,
  'model' | 'inputs' | 'stickyKey' | 'cache' | 'sequence'
>

/**
 * Chunks that a model reads one after the other, with state that it carries in the worker. Chunks may be sent without waiting: they keep their order. Chunks of
 * different sequences are computed together where the graph allows it. When its worker dies a sequence cannot go on: `engine_lost`.
 */
export class SequenceHandle {
  /** Correlation id. */
  readonly id = crypto.getRandomValues(new Uint32Array(4)).join('-')
  readonly #client: SequenceClient
  /** The version that answered the first chunk answers all. */
  #model: string
  #first: Promise<unknown> | undefined
  #hasEnded = false

  constructor(client: SequenceClient, model: string) {
    this.#client = client
    this.#model = model
  }

  /** The next chunk: all inputs but state. Rejects as `Client.infer` does, and with `bad_request` after `end` or when the sequence was idle for too long. */
  infer(inputs: Tensors, options: ChunkOptions & { readonly end?: boolean } = {}): Promise<InferResult> {
    const { end = false, ...rest } = options
    return this.#ask(end, (model, sequence) => this.#client.infer({ ...rest, model, inputs, sequence }))
  }

  /** The next chunk through the model's handler. */
  run<Output>(
    input: unknown,
    options: ChunkOptions & { readonly end?: boolean } = {},
  ): Promise<RunResult<Output>> {
    const { end = false, outputs: _, ...rest } = options
    return this.#ask(end, (model, sequence) =>
      this.#client.run({ ...rest, model, input, sequence }),
    ) as Promise<RunResult<Output>> // the handler's word, as of `Client.run`
  }

  /** Lets its state go without another chunk, once those under way are through. The second time, and where nothing was begun, it does nothing. */
  async end(): Promise<void> {
    if (this.#hasEnded || this.#first === undefined) return void (this.#hasEnded = true)
    this.#hasEnded = true
    const sequence = { id: this.id, end: true }
    try {
      await this.#first
      await this.#client.infer({ model: this.#model, inputs: {}, sequence })
    } catch (error) {
      // Its state is gone all the same: it never began, was idle for too long, or its worker died.
      if (!(error instanceof EngineError)) throw error
    }
  }

  async #ask<Result extends InferResult | RunResult<unknown>>(
    end: boolean,
    ask: (model: string, step: SequenceStep) => Promise<Result>,
  ): Promise<Result> {
    if (this.#hasEnded) throw new EngineError('bad_request', 'The sequence has ended: begin another one.')
    this.#hasEnded = end
    const step = { id: this.id, ...(end ? { end } : {}) }
    if (this.#first !== undefined) {
      await this.#first
      return ask(this.#model, step)
    }
    const asked = ask(this.#model, { ...step, start: true })
    this.#first = asked.then(({ servedBy }) => (this.#model = servedBy.model))
    // The caller has it from `asked`. What has failed has not begun: the next chunk is the first.
    this.#first.catch(() => (this.#first = undefined))
    return asked
  }
}

import type {
  ChoiceEnd,
  DeltaEvent,
  FinishEvent,
  RequestEvent,
  ServedBy,
  Timing,
  TokenLogprob,
  ToolCall,
  ToolCallDelta,
  Usage,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** One answer. */
export interface Choice {
  readonly text: string
  readonly tokens: readonly number[]
  /** Calls of tools, which are not in the text; empty: none. Of an answer that was cut the last one may be cut, too. */
  readonly toolCalls: readonly ToolCall[]
  /** What the model thought before it answered, where the request wanted it apart. */
  readonly reasoning?: string
  /** `tool_calls`: it ended well, and there are some. `abort` when the caller's signal fired or the loop was left, `timeout` when its time was over: what had come until then is here. */
  readonly finishReason: ChoiceEnd['reason']
  /** The stop string or stop token that ended the text. */
  readonly stop?: string | number
  /** One entry a token, when the request asked for log-probabilities. */
  readonly logprobs?: readonly TokenLogprob[]
}

/** Everything that a request gave. The first answer's fields are here directly. */
export interface GenerationResult extends Choice {
  /** All `n` answers, the first one included. */
  readonly choices: readonly Choice[]
  readonly usage: Usage
  readonly timing: Timing
  /** Which version has answered, or which server in its place and why. A server's answer has no `tokens`. */
  readonly servedBy: ServedBy
  /** One entry a prompt token but the first, when the request asked for them. */
  readonly promptLogprobs?: readonly TokenLogprob[]
}

/**
 * One answer on its way: `await` it for the whole, iterate it for the stream, or both. Leaving the loop stops the
 * computing. A failure rejects the promise and is thrown out of the loop.
 */
export class Generation implements PromiseLike<GenerationResult>, AsyncIterable<DeltaEvent> {
  readonly #cancel: () => void
  readonly #result: Promise<GenerationResult>
  #settle: { resolve(result: GenerationResult): void; reject(error: EngineError): void } | undefined
  readonly #deltas: DeltaEvent[] = []
  /** Deltas before this one have been read by the loop. */
  #read = 0
  #wake = () => {}
  #iterated = false
  #servedBy: ServedBy | undefined

  /** @param cancel stops the computing; the request's `finish` must still come through `take`. */
  constructor(cancel: () => void) {
    this.#cancel = cancel
    this.#result = new Promise((resolve, reject) => (this.#settle = { resolve, reject }))
    this.#result.catch(() => {}) // who only iterates gets the error from the loop
  }

  /** Who answers, as far as is known: a server may still take over before the first text. `undefined`: nobody could be asked. */
  get servedBy(): ServedBy | undefined {
    return this.#servedBy
  }

  /** Must come before the last word. */
  setServedBy(server: ServedBy): void {
    this.#servedBy = server
  }

  /** Takes what the worker says, in order. After the last word nothing more is heard. */
  take(event: RequestEvent): void {
    if (this.#settle === undefined) return
    if (event.type === 'delta') this.#deltas.push(event)
    else if (event.type === 'error') this.#end(EngineError.fromWire(event.error))
    else if (event.type === 'finish') this.#end(this.#whole(event))
    else throw new Error('a generation was given the result of another task')
    this.#wake()
  }

  /** Stops the computing; the answer ends with reason `abort`. Harmless afterwards. */
  cancel(): void {
    if (this.#settle !== undefined) this.#cancel()
  }

  then<A = GenerationResult, B = never>(
    onResult?: ((result: GenerationResult) => A | PromiseLike<A>) | null,
    onError?: ((error: EngineError) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.#result.then(onResult, onError)
  }

  /** The stream of deltas; each is delivered once, so there can be one loop. */
  async *[Symbol.asyncIterator](): AsyncGenerator<DeltaEvent, void, void> {
    if (this.#iterated) throw new Error('a generation can be iterated once')
    this.#iterated = true
    try {
      for (;;) {
        const delta = this.#deltas[this.#read]
        if (delta !== undefined) {
          this.#read++
          yield delta
        } else if (this.#settle === undefined) {
          await this.#result // throws what the request ended with
          return
        } else {
          await new Promise<void>((resolve) => (this.#wake = resolve))
        }
      }
    } finally {
      this.cancel()
    }
  }

  #end(outcome: GenerationResult | EngineError): void {
    if (outcome instanceof EngineError) this.#settle?.reject(outcome)
    else this.#settle?.resolve(outcome)
    this.#settle = undefined
  }

  #whole({ choices: ends, usage, timing, promptLogprobs }: FinishEvent): GenerationResult {
    const choices = ends.map(({ reason, stop }, index): Choice => {
      const deltas = this.#deltas.filter(({ choice }) => choice === index)
      const logprobs = deltas.flatMap((delta) => delta.logprobs ?? [])
      const reasoning = deltas.map((delta) => delta.reasoning ?? '').join('')
      return {
        text: deltas.map((delta) => delta.text).join(''),
        tokens: deltas.flatMap((delta) => delta.tokens),
        toolCalls: wholeCalls(deltas.flatMap((delta) => delta.toolCalls ?? [])),
        ...(reasoning === '' ? {} : { reasoning }),
        finishReason: reason,
        ...(stop === undefined ? {} : { stop }),
        ...(logprobs.length > 0 ? { logprobs } : {}),
      }
    })
    const [first] = choices
    const servedBy = this.#servedBy
    if (first === undefined || servedBy === undefined)
      throw new Error('a finish without a choice or a server')
    return {
      ...first,
      choices,
      usage,
      timing,
      servedBy,
      ...(promptLogprobs === undefined ? {} : { promptLogprobs }),
    }
  }
}

/** Calls put together from what was said of them. */
function wholeCalls(deltas: readonly ToolCallDelta[]): ToolCall[] {
  const calls: ToolCall[] = []
  for (const { index, id = '', name = '', arguments: text } of deltas) {
    const { id: knownId, name: knownName, arguments: before } = calls[index] ?? { id, name, arguments: '' }
    calls[index] = { id: knownId, name: knownName, arguments: before + text }
  }
  return calls
}

import type { CallSink } from './call-sink.ts'

/** Tells a call whose arguments are found one by one: as the JSON of an object, of which each piece is told when it is known. */
export class ArgumentWriter {
  readonly #sink: CallSink
  readonly #name: string
  #isTold = false

  constructor(sink: CallSink, name: string) {
    this.#sink = sink
    this.#name = name
  }

  /** Whether the call has begun. */
  get isTold(): boolean {
    return this.#isTold
  }

  /** @param value JSON. */
  add(key: string, value: string): void {
    this.#say(`${this.#isTold ? ', ' : '{'}${JSON.stringify(key)}: ${value}`)
  }

  /** Returns that it is a call. */
  end(): true {
    this.#say(this.#isTold ? '}' : '{}')
    return true
  }

  #say(text: string): void {
    if (!this.#isTold) this.#sink.call(this.#name)
    this.#isTold = true
    this.#sink.arguments(text)
  }
}

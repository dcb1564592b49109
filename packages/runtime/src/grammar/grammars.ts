import type { Constraint } from '@tabserve/engine'
import { EngineError } from '@tabserve/protocol'
import { startOwnWorker } from '../own-worker.ts'
import type { GrammarAnswer, GrammarCall, Vocabulary } from './grammar-calls.ts'
import type { GrammarSpec } from './grammar-spec.ts'
import { GRAMMAR_WORKER_NAME } from './grammar-worker.ts'

/** A grammar that takes longer to compile is refused: it would be as slow at every token. */
const COMPILE_MS = 30_000

/**
 * The grammars that a model's answers are held to. They live in a worker, so that a large one that is being compiled stops nobody, and the next mask
 * is made while the model computes. A grammar that is wrong takes the worker with it: the others go on in a new one, where they were.
 */
export class Grammars {
  readonly #script: string
  readonly #vocabulary: () => Vocabulary
  readonly #live = new Map<number, RemoteConstraint>()
  #worker: Worker | undefined
  #numStarted = 0

  /** @param script address of XGrammar. @param vocabulary asked once a worker, when the first grammar is wanted. */
  constructor(script: string, vocabulary: () => Vocabulary) {
    this.#script = script
    this.#vocabulary = vocabulary
  }

  /** What one answer is held to. @param said what that answer has said already, and which is accepted before the first mask. */
  constrain(spec: GrammarSpec, said: readonly number[] = []): Constraint {
    const id = this.#numStarted++
    const constraint = new RemoteConstraint(spec, said, {
      accept: (token) => this.#call({ type: 'accept', id, token }),
      late: () => this.#refuse(id, `it took more than ${COMPILE_MS / 1000} seconds to compile`),
      end: () => {
        if (this.#live.delete(id)) this.#call({ type: 'end', id })
      },
    })
    this.#live.set(id, constraint)
    this.#begin(id, constraint)
    return constraint
  }

  dispose(): void {
    this.#worker?.terminate()
    this.#worker = undefined
  }

  #begin(id: number, constraint: RemoteConstraint): void {
    const { spec, tokens } = constraint
    constraint.begin()
    this.#call({ type: 'start', id, spec, tokens })
  }

  #call(call: GrammarCall): void {
    this.#worker ??= this.#start()
    this.#worker.postMessage(call)
  }

  #start(): Worker {
    const worker = startOwnWorker(GRAMMAR_WORKER_NAME)
    worker.onmessage = ({ data }: MessageEvent<GrammarAnswer>) => this.#hear(data)
    worker.onerror = ({ message }) => this.#fail(message || 'its worker could not be started')
    worker.postMessage({
      type: 'open',
      script: this.#script,
      vocabulary: this.#vocabulary(),
    } satisfies GrammarCall)
    return worker
  }

  #hear(answer: GrammarAnswer): void {
    if (answer.type === 'failed') return this.#fail(answer.reason)
    if (answer.type === 'refused') return this.#refuse(answer.id, answer.reason)
    this.#live.get(answer.id)?.set(answer.mask)
  }

  /** The request's own fault; the worker is done for, and the others go on in the next one. */
  #refuse(id: number, reason: string): void {
    const refused = this.#live.get(id)
    this.#live.delete(id)
    this.dispose()
    for (const [id, constraint] of this.#live) this.#begin(id, constraint)
    refused?.fail(new EngineError('bad_request', `structuredOutputs cannot be used: ${reason}.`))
  }

  /** Nobody's fault; the next request tries again. */
  #fail(reason: string): void {
    this.dispose()
    const advice = 'Check that the worker can fetch XGrammar from the `assets.grammar` address.'
    const error = new EngineError('backend_failed', `Grammars cannot be checked: ${reason}. ${advice}`)
    const constraints = [...this.#live.values()]
    this.#live.clear()
    for (const constraint of constraints) constraint.fail(error)
  }
}

interface Link {
  accept(token: number): void
  /** The first mask has not come in time. */
  late(): void
  end(): void
}

class RemoteConstraint implements Constraint {
  readonly spec: GrammarSpec
  /** What it has accepted, for the case that it must begin anew. */
  readonly tokens: number[]
  readonly #link: Link
  #timer: ReturnType<typeof setTimeout> | undefined
  #mask: Int32Array | undefined
  #error: EngineError | undefined
  #listener = () => {}

  constructor(spec: GrammarSpec, said: readonly number[], link: Link) {
    this.spec = spec
    this.tokens = [...said]
    this.#link = link
  }

  get mask(): Int32Array | undefined {
    return this.#mask
  }

  get error(): EngineError | undefined {
    return this.#error
  }

  accept(token: number): void {
    this.#mask = undefined
    this.tokens.push(token)
    this.#link.accept(token)
  }

  onChange(listener: () => void): void {
    this.#listener = listener
  }

  /** A worker was told to compile it. */
  begin(): void {
    clearTimeout(this.#timer)
    this.#mask = undefined
    this.#timer = setTimeout(() => this.#link.late(), COMPILE_MS)
  }

  set(mask: Int32Array): void {
    clearTimeout(this.#timer)
    this.#mask = mask
    this.#listener()
  }

  fail(error: EngineError): void {
    clearTimeout(this.#timer)
    this.#error = error
    this.#listener()
  }

  dispose(): void {
    clearTimeout(this.#timer)
    this.#link.end()
  }
}

import type { Cancel, Emit, PipelinePlan, PlannedNode, RunnerFacts, Served } from '@tabserve/engine'
import { Counters, OneShotCounters, add, runPipeline } from '@tabserve/engine'
import type { Manifest, ModelStats, Request, ResultEvent } from '@tabserve/protocol'
import { EngineError, toWireError, timeMs } from '@tabserve/protocol'
import { askModel } from './ask-model.ts'
import { WithoutSessions } from './without-sessions.ts'

/** What a node of a pipeline does in the page's own worker file. What it gives may be anything that the next node takes: nothing of it visits the page. */
export type PipelineFunction = (input: never, context: PipelineContext) => unknown

/** What a function of a pipeline knows of the request. */
export interface PipelineContext {
  /** Fires when the request is cancelled, late, or another branch has failed. */
  readonly signal: AbortSignal
  /** Asks one of the models that the node lists, by the name that it has there. */
  run(model: string, input: unknown, parameters?: Readonly<Record<string, unknown>>): Promise<unknown>
}

/** A model of a pipeline, loaded for it alone. */
export interface PipelineMember {
  readonly manifest: Manifest
  readonly served: Served
}

export interface PipelineParts {
  readonly plan: PipelinePlan
  /** By their addresses. */
  readonly members: ReadonlyMap<string, PipelineMember>
  readonly functions: Readonly<Record<string, PipelineFunction>>
  readonly facts: RunnerFacts
}

/** A pipeline as a model: a request goes through its nodes within this worker, and only the last word leaves it. */
export class PipelineModel extends WithoutSessions implements Served {
  readonly #parts: PipelineParts
  readonly #counters = new OneShotCounters()
  readonly #open = new Set<AbortController>()

  /** Throws `bad_request` for a function that there is not. */
  constructor(parts: PipelineParts) {
    super()
    this.#parts = parts
    for (const { name, node } of parts.plan.nodes)
      if ('function' in node && !Object.hasOwn(parts.functions, node.function)) {
        const message = `Node ${name}: there is no function ${node.function}; give it to startWorker, in functions, in the page's worker file.`
        throw new EngineError('bad_request', message, { param: 'pipeline', node: name })
      }
  }

  get isAwaitingDevice(): boolean {
    return [...this.#parts.members.values()].some(({ served }) => served.isAwaitingDevice)
  }

  submit(request: Request, emit: Emit): Cancel {
    const abort = new AbortController()
    const counters = this.#counters
    const submitted = performance.now()
    this.#open.add(abort)
    counters.running++
    counters.lastRequestMs = timeMs()
    this.#run(request, abort.signal)
      .then(
        (output) => {
          counters.succeeded++
          emit(resultOf(output, performance.now() - submitted))
        },
        (error: unknown) => {
          const wire = toWireError(error, 'backend_failed')
          counters.failedWith(wire.code, performance.now() - submitted)
          emit({ type: 'error', error: wire })
        },
      )
      .finally(() => {
        counters.running--
        add(counters.total, performance.now() - submitted)
        this.#open.delete(abort)
      })
      .catch(() => {}) // `emit` does not throw
    return () => abort.abort()
  }

  tokenize(): never {
    throw new EngineError('bad_request', 'A pipeline has no tokenizer of its own: ask its model.')
  }

  tokenTexts(): never {
    return this.tokenize()
  }

  /** Runs are those of all its models, and of its functions. */
  stats(): ModelStats {
    const { succeeded, failed, failedMs, failures, aborted, running, lastRequestMs } = this.#counters
    const members = [...this.#parts.members.values()].map(({ served }) => served.stats())
    const sum = (count: (stats: ModelStats) => number) =>
      members.reduce((total, each) => total + count(each), 0)
    const oneShot = this.#counters.snapshot({
      cache: { hits: 0, misses: 0, evictions: 0, entries: 0, bytes: 0 },
      sequences: { open: 0, started: 0, expired: 0 },
    })
    return {
      ...new Counters().snapshot({ running, waiting: 0, rows: 1, kvUsage: 0, kvBytes: 0, preemptions: 0 }),
      lastRequestMs,
      computedTokens: sum(({ computedTokens }) => computedTokens),
      generatedTokens: sum(({ generatedTokens }) => generatedTokens),
      finished: { stop: succeeded, length: 0, abort: aborted, timeout: 0 },
      failed,
      failedMs,
      failures: { ...failures },
      oneShot: {
        ...oneShot,
        infer: {
          count: oneShot.infer.count + sum((each) => each.oneShot?.infer.count ?? 0),
          ms: oneShot.infer.ms + sum((each) => each.oneShot?.infer.ms ?? 0),
        },
      },
    }
  }

  facts(): RunnerFacts {
    return this.#parts.facts
  }

  resetPrefixCache(): void {
    for (const { served } of this.#parts.members.values()) served.resetPrefixCache()
  }

  async dispose(): Promise<void> {
    for (const abort of this.#open) abort.abort()
    for (const { served } of this.#parts.members.values()) await served.dispose()
  }

  async #run(request: Request, signal: AbortSignal): Promise<unknown> {
    if (request.task !== 'run') throw new EngineError('bad_request', 'A pipeline is asked by `run`.')
    return runPipeline(
      this.#parts.plan,
      request.input,
      {
        call: (node, input, signal) => this.#call(node, input, signal),
        after: (delayMs, run) => {
          const timer = setTimeout(run, delayMs)
          return () => clearTimeout(timer)
        },
      },
      signal,
    )
  }

  #call({ node }: PlannedNode, input: unknown, signal: AbortSignal): Promise<unknown> {
    if ('model' in node) return askModel(this.#member(node.model), input, node.parameters, signal)
    return this.#callFunction(node, input, signal)
  }

  async #callFunction(
    node: Extract<PlannedNode['node'], { readonly function: string }>,
    input: unknown,
    signal: AbortSignal,
  ): Promise<unknown> {
    const work = this.#parts.functions[node.function]
    if (work === undefined) throw new Error(`the function ${node.function} is gone`)
    const { models = {} } = node
    const run: PipelineContext['run'] = (name, given, parameters) => {
      const address = Object.hasOwn(models, name) ? models[name] : undefined
      if (address !== undefined) return askModel(this.#member(address), given, parameters, signal)
      const message = `This function may ask ${Object.keys(models).join(', ') || 'no model'}, not ${name}: list it in the node's models.`
      throw new EngineError('bad_request', message)
    }
    const began = performance.now()
    const output = await work(input as never, { signal, run }) // what a node takes is between it and the one before
    this.#counters.ran(1, performance.now() - began)
    return output
  }

  #member(address: string): PipelineMember {
    const member = this.#parts.members.get(address)
    if (member === undefined) throw new Error(`the model of ${address} was not loaded`)
    return member
  }
}

function resultOf(output: unknown, totalMs: number): ResultEvent {
  const timing = { queueMs: 0, preprocessMs: 0, inferMs: totalMs, postprocessMs: 0, totalMs }
  return { type: 'result', output, timing, batchSize: 1, isCached: false }
}

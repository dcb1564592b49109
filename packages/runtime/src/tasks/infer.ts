import type {
  Batching,
  BatchLayout,
  CanBatch,
  Cancel,
  Emit,
  Observer,
  OneShotOutput,
  RunnerFacts,
  Sequencing,
  Served,
} from '@tabserve/engine'
import {
  Counters,
  OneShotCounters,
  OneShotEngine,
  OneShotReporter,
  ReleaseOrder,
  add,
  checkBoolean,
  checkNumber,
  checkString,
  checkTensors,
} from '@tabserve/engine'
import type {
  GraphFacts,
  ModelStats,
  OneShotRequest,
  OneShotWork,
  Request,
  ResultEvent,
  TensorSpec,
  Tensors,
} from '@tabserve/protocol'
import { EngineError, INFER_OPTIONS, RUN_OPTIONS, toWireError, timeMs } from '@tabserve/protocol'
import type { InferSession } from '../backend/infer-session.ts'
import { createBreath } from '../breath.ts'
import type { AnyHandler, HandlerContext } from '../handlers/handler.ts'
import type { Responses } from '../responses/responses.ts'
import type { Answer, Job } from './infer-job.ts'
import { inferJob, runJob } from './infer-job.ts'
import { SequenceTurns } from './sequence-turns.ts'
import { WithoutSessions } from './without-sessions.ts'

export interface InferModelParts {
  /** `main` and those that a handler of several passes runs. */
  readonly sessions: ReadonlyMap<string, InferSession>
  readonly inputs: readonly TensorSpec[]
  readonly outputs: readonly TensorSpec[]
  readonly facts: Omit<RunnerFacts, 'graph'>
  readonly graph: GraphFacts
  readonly batching: Batching
  readonly layout: BatchLayout | undefined
  readonly isDeclared: boolean
  readonly canBatch: CanBatch | undefined
  readonly sequencing: Sequencing
  readonly handler: AnyHandler | undefined
  readonly responses: Responses
  /** Whether answers are kept where a request does not say. */
  readonly keepsResponses: boolean
  readonly observer: Observer
}

/** A model that is asked once a request: with tensors, or with what its handler takes. */
export class InferModel extends WithoutSessions implements Served {
  readonly isAwaitingDevice = false
  readonly #parts: InferModelParts
  readonly #engine: OneShotEngine
  readonly #reporter: OneShotReporter
  readonly #counters = new OneShotCounters()
  readonly #turns: SequenceTurns
  readonly #order: ReleaseOrder | undefined
  readonly #breath = createBreath()
  readonly #open = new Set<AbortController>()
  #isDisposed = false

  constructor(parts: InferModelParts) {
    super()
    this.#parts = parts
    const { sessions, batching, layout, isDeclared, canBatch, sequencing, inputs } = parts
    this.#reporter = new OneShotReporter(parts.observer)
    this.#engine = new OneShotEngine(
      {
        run: (inputs, outputs) => sessionOf(sessions, 'main').run(inputs, outputs),
        now: () => performance.now(),
        breathe: () => this.#breath.take(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS))),
        counters: this.#counters,
        reporter: this.#reporter,
      },
      { batching, layout, isDeclared, ...(canBatch === undefined ? {} : { canBatch }) },
    )
    this.#turns = new SequenceTurns(sequencing, inputs, layout)
    this.#order = batching.preserveOrdering ? new ReleaseOrder() : undefined
  }

  submit(request: Request, emit: Emit): Cancel {
    const abort = new AbortController()
    const release = this.#order?.ticket() ?? ((say: () => void) => say())
    this.#open.add(abort)
    const submittedMs = timeMs()
    this.#counters.lastRequestMs = submittedMs
    void this.#answer(request, abort.signal)
      .then(
        (result) => release(() => emit(result)),
        (error: unknown) => {
          const wire = toWireError(this.#isDisposed ? unloaded() : error, 'backend_failed')
          this.#counters.failedWith(wire.code, timeMs() - submittedMs)
          release(() => emit({ type: 'error', error: wire }))
        },
      )
      .finally(() => this.#open.delete(abort))
    return () => abort.abort()
  }

  tokenize(): never {
    throw new EngineError('bad_request', 'This model is asked with tensors: it has no tokens to tell of.')
  }

  tokenTexts(): never {
    return this.tokenize()
  }

  stats(): ModelStats {
    const counters = this.#counters
    const { succeeded, failed, failedMs, failures, refused, aborted, running } = counters
    return {
      ...new Counters().snapshot({
        running,
        waiting: this.#engine.numWaiting,
        rows: this.#parts.graph.maxBatchSize,
        kvUsage: 0,
        kvBytes: 0,
        preemptions: 0,
      }),
      lastRequestMs: counters.lastRequestMs,
      finished: { stop: succeeded, length: 0, abort: aborted, timeout: 0 },
      failed,
      failedMs,
      failures: { ...failures },
      refused,
      oneShot: counters.snapshot({
        cache: this.#parts.responses.stats(),
        sequences: this.#turns.stats(),
      }),
    }
  }

  facts(): RunnerFacts {
    const { facts, graph } = this.#parts
    const { problem } = this.#engine
    return {
      ...facts,
      graph: problem === undefined ? graph : { ...graph, maxBatchSize: 1, batchingReason: problem },
    }
  }

  resetPrefixCache(): void {} // there is none

  async dispose(): Promise<void> {
    this.#isDisposed = true
    this.#turns.dispose()
    this.#engine.dispose()
    for (const abort of this.#open) abort.abort()
    this.#breath.dispose()
    for (const session of this.#parts.sessions.values()) await session.dispose()
  }

  async #answer(request: Request, signal: AbortSignal): Promise<ResultEvent> {
    const submitted = performance.now()
    if (request.task === 'generate') throw wrongTask(this.#parts.handler !== undefined)
    refuseUnknownOptions(request)
    checkString('traceparent', request.traceparent)
    const { sequence } = request
    if (sequence !== undefined && isOnlyEnd(request)) {
      await this.#turns.end(sequence)
      return this.#withoutRun({ outputs: {} }, submitted, false)
    }
    const job = this.#jobOf(request)
    if (sequence !== undefined)
      return this.#turns.take(sequence, job, (stateful) =>
        this.#compute(request, stateful, signal, submitted),
      )
    if (!this.#isKept(request)) return this.#compute(request, job, signal, submitted)
    return this.#keptOr(request, submitted, () => this.#compute(request, job, signal, submitted))
  }

  /** From the response cache, or computed and kept there. */
  async #keptOr(
    request: OneShotRequest,
    submitted: number,
    compute: () => Promise<ResultEvent>,
  ): Promise<ResultEvent> {
    const { responses } = this.#parts
    const { cacheHit, cacheMiss } = this.#counters
    const began = performance.now()
    const key = await this.#keyOf(request)
    if (key === undefined) return compute()
    const kept = await responses.find(key)
    const lookupMs = performance.now() - began
    if (kept !== undefined) {
      add(cacheHit, lookupMs)
      return this.#withoutRun(kept as Answer, submitted, true)
    }
    const result = await compute()
    const computed = performance.now()
    await responses.keep(key, answerOf(result))
    add(cacheMiss, lookupMs + performance.now() - computed)
    return result
  }

  async #compute(
    request: OneShotRequest,
    job: Job,
    signal: AbortSignal,
    submitted: number,
  ): Promise<ResultEvent> {
    const context: HandlerContext = { parameters: request.parameters ?? {}, signal, item: new Map() }
    const began = performance.now()
    const { passes } = job
    let answer: Answer | undefined
    const inputs = passes === undefined ? await job.preprocess(context) : {}
    if (passes === undefined) checkTensors(inputs, this.#parts.inputs, 'input')
    const ready = performance.now()
    const priority = checkNumber('priority', request.priority, 'a whole number', Number.isSafeInteger) ?? 0
    this.#reporter.queued(checkString('requestId', request.requestId), priority)
    const computed = await this.#engine.submit({
      inputs,
      outputs: job.outputs,
      priority,
      timeoutMs: timeoutOf(request, ready - submitted),
      parameters: context.parameters,
      signal,
      ...(passes === undefined ? {} : { alone: async () => ((answer = await passes(context)), {}) }),
    })
    const run = performance.now()
    answer ??= await job.postprocess(computed.outputs, context)
    const over = performance.now()
    const times = { preprocessMs: ready - began, postprocessMs: over - run, totalMs: over - submitted }
    return { ...this.#result(answer, computed, times), work: workOf(submitted, began) }
  }

  #result(
    answer: Answer,
    { queueMs, inferMs, rows, batchSize }: OneShotOutput,
    times: Pick<ResultEvent['timing'], 'preprocessMs' | 'postprocessMs' | 'totalMs'>,
  ): ResultEvent {
    const counters = this.#counters
    counters.succeeded++
    counters.rows += rows
    add(counters.preprocess, times.preprocessMs)
    add(counters.postprocess, times.postprocessMs)
    add(counters.total, times.totalMs)
    return { type: 'result', ...answer, timing: { queueMs, inferMs, ...times }, batchSize, isCached: false }
  }

  #withoutRun(answer: Answer, submitted: number, isCached: boolean): ResultEvent {
    const totalMs = performance.now() - submitted
    this.#counters.succeeded++
    add(this.#counters.total, totalMs)
    const work = workOf(submitted, submitted)
    return { type: 'result', ...answer, timing: { ...NO_TIME, totalMs }, batchSize: 0, isCached, work }
  }

  #jobOf(request: OneShotRequest): Job {
    const { inputs, outputs, handler } = this.#parts
    if (request.task === 'run') return runJob(request, handler, (name, inputs) => this.#pass(name, inputs))
    return inferJob(request, request.sequence === undefined ? inputs : this.#turns.fromOutside, outputs)
  }

  /** Counted one by one: whoever watches over the worker sees that it gets on. */
  async #pass(name: string, inputs: Tensors): Promise<Tensors> {
    const began = performance.now()
    const outputs = await sessionOf(this.#parts.sessions, name).run(inputs, undefined)
    const ms = performance.now() - began
    this.#counters.ran(1, ms)
    this.#reporter.ran({ rows: 1, requests: 1, ms, waiting: this.#engine.numWaiting })
    return outputs
  }

  #isKept({ cache }: OneShotRequest): boolean {
    return checkBoolean('cache', cache) ?? this.#parts.keepsResponses
  }

  #keyOf(request: OneShotRequest): Promise<string | undefined> {
    const asked =
      request.task === 'infer'
        ? { inputs: request.inputs, outputs: request.outputs }
        : { input: request.input }
    return this.#parts.responses.keyOf({ ...asked, parameters: request.parameters ?? {} })
  }
}

const NO_TIME = { queueMs: 0, preprocessMs: 0, inferMs: 0, postprocessMs: 0 } as const

/** Of moments of `performance.now`. */
function workOf(submitted: number, began: number): OneShotWork {
  const { timeOrigin } = performance
  return { submittedMs: timeOrigin + submitted, beganMs: timeOrigin + began }
}

function isOnlyEnd(request: OneShotRequest): boolean {
  return (
    request.task === 'infer' &&
    request.sequence?.end === true &&
    Object.keys(request.inputs ?? {}).length === 0
  )
}

/** A timer for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

function answerOf({ outputs, output }: ResultEvent): Answer {
  return outputs === undefined ? { output } : { outputs }
}

function refuseUnknownOptions(request: OneShotRequest): void {
  const known = request.task === 'infer' ? INFER_OPTIONS : RUN_OPTIONS
  const [unknown] = Object.keys(request).filter((option) => !(option in known))
  if (unknown === undefined) return
  throw new EngineError('bad_request', `${request.task} has no option ${unknown}.`, { param: unknown })
}

function timeoutOf({ timeoutMs }: OneShotRequest, waitedMs: number): number {
  const given = checkNumber('timeoutMs', timeoutMs, 'a number of milliseconds above 0', (ms) => ms > 0)
  return given === undefined ? Infinity : Math.max(0, given - waitedMs)
}

/** Throws `bad_request`. */
function sessionOf(sessions: ReadonlyMap<string, InferSession>, name: string): InferSession {
  const session = sessions.get(name)
  if (session !== undefined) return session
  const message = `There is no session ${name}. There are: ${[...sessions.keys()].join(', ')}.`
  throw new EngineError('bad_request', message)
}

function wrongTask(hasHandler: boolean): EngineError {
  const how = hasHandler ? '`run` or `infer`' : '`infer`'
  return new EngineError('bad_request', `This model does not generate text: ask it by ${how}.`)
}

function unloaded(): EngineError {
  return new EngineError('engine_lost', 'The model was unloaded before the answer was complete.')
}

import type {
  BatchLayout,
  Cancel,
  CanBatch,
  Emit,
  OneShotOutput,
  Sequence,
  Served,
  Sequencing,
} from '@tabserve/engine'
import type { Batching, RunnerFacts } from '@tabserve/engine'
import {
  Counters,
  OneShotCounters,
  OneShotEngine,
  ReleaseOrder,
  Sequences,
  add,
  checkBoolean,
  checkNumber,
  checkTensors,
  initialState,
  isList,
  refusal,
} from '@tabserve/engine'
import type {
  GraphFacts,
  InferRequest,
  ModelStats,
  OneShotRequest,
  Request,
  ResultEvent,
  RunRequest,
  TensorSpec,
  Tensors,
} from '@tabserve/protocol'
import { EngineError, INFER_OPTIONS, RUN_OPTIONS, TENSOR_ARRAYS, toWireError } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import type { InferSession } from '../backend/infer-session.ts'
import type { AnyHandler, HandlerContext } from '../handlers/handler.ts'
import type { Responses } from '../responses/responses.ts'

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
}

/** What is done for one request around its run. */
interface Job {
  readonly preprocess: (context: HandlerContext) => Tensors | Promise<Tensors>
  readonly postprocess: (outputs: Tensors, context: HandlerContext) => Promise<Answer>
  /** In place of all of it. */
  readonly passes?: (context: HandlerContext) => Promise<Answer>
  readonly outputs: readonly string[] | undefined
}

type Answer = Pick<ResultEvent, 'outputs' | 'output'>

/** A model that is asked once a request: with tensors, or with what its handler takes. */
export class InferModel implements Served {
  readonly isRecovering = false
  readonly #parts: InferModelParts
  readonly #engine: OneShotEngine
  readonly #counters = new OneShotCounters()
  readonly #sequences: Sequences
  readonly #order: ReleaseOrder | undefined
  readonly #breath = createBreath()
  readonly #open = new Set<AbortController>()
  #sweeper: ReturnType<typeof setTimeout> | undefined
  #isDisposed = false

  constructor(parts: InferModelParts) {
    this.#parts = parts
    const { sessions, batching, layout, isDeclared, canBatch, sequencing, inputs } = parts
    this.#engine = new OneShotEngine(
      {
        run: (inputs, outputs) => sessionOf(sessions, 'main').run(inputs, outputs),
        now: () => performance.now(),
        breathe: () => this.#breath.take(),
        sleep: (ms) => new Promise((resolve) => setTimeout(resolve, Math.min(ms, LONGEST_TIMER_MS))),
        counters: this.#counters,
      },
      { batching, layout, isDeclared, ...(canBatch === undefined ? {} : { canBatch }) },
    )
    const isRow = (input: string, axis: number) => layout?.inputs.get(input)?.row === axis
    this.#sequences = new Sequences(sequencing, () =>
      Object.fromEntries(sequencing.state.map((pair) => [pair.input, initialState(pair, inputs, isRow)])),
    )
    this.#order = batching.preserveOrdering ? new ReleaseOrder() : undefined
  }

  submit(request: Request, emit: Emit): Cancel {
    const abort = new AbortController()
    const release = this.#order?.ticket() ?? ((say: () => void) => say())
    this.#open.add(abort)
    void this.#answer(request, abort.signal)
      .then(
        (result) => release(() => emit(result)),
        (error: unknown) => {
          const wire = toWireError(this.#isDisposed ? unloaded() : error, 'backend_failed')
          this.#countFailure(wire.code)
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
    const { succeeded, failed, refused, aborted, running } = counters
    return {
      ...new Counters().snapshot({
        running,
        waiting: this.#engine.numWaiting,
        rows: this.#parts.graph.maxBatchSize,
        kvUsage: 0,
        kvBytes: 0,
        preemptions: 0,
      }),
      finished: { stop: succeeded, length: 0, abort: aborted, timeout: 0 },
      failed,
      refused,
      oneShot: counters.snapshot({
        cache: this.#parts.responses.stats(),
        sequences: this.#sequences.stats(),
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
    clearTimeout(this.#sweeper)
    this.#engine.dispose()
    for (const abort of this.#open) abort.abort()
    this.#breath.dispose()
    for (const session of this.#parts.sessions.values()) await session.dispose()
  }

  async #answer(request: Request, signal: AbortSignal): Promise<ResultEvent> {
    const submitted = performance.now()
    if (request.task === 'generate') throw wrongTask(this.#parts.handler !== undefined)
    refuseUnknownOptions(request)
    if (isOnlyEnd(request)) return this.#endSequence(request, submitted)
    const job = request.task === 'infer' ? this.#inferJob(request) : this.#runJob(request)
    if (request.sequence !== undefined) return this.#inSequence(request, job, signal, submitted)
    const key = this.#isKept(request) ? await this.#keyOf(request) : undefined
    const kept = key === undefined ? undefined : await this.#parts.responses.find(key)
    if (kept !== undefined) return this.#fromCache(kept as Answer, submitted)
    const result = await this.#compute(request, job, signal, submitted)
    if (key !== undefined) await this.#parts.responses.keep(key, answerOf(result))
    return result
  }

  /** Chunks of one sequence go one after the other, each with the state that the last one left. */
  async #inSequence(
    { sequence: step, ...request }: OneShotRequest,
    job: Job,
    signal: AbortSignal,
    submitted: number,
  ): Promise<ResultEvent> {
    if (step === undefined) throw new Error('a chunk without its sequence')
    const { state, controls } = this.#parts.sequencing
    const sequence = this.#sequences.enter(step, performance.now())
    sequence.numOpen++
    const wanted = job.outputs
    const stateful: Job = {
      ...job,
      outputs:
        wanted === undefined ? undefined : [...new Set([...wanted, ...state.map(({ output }) => output)])],
      preprocess: async (context) => ({
        ...(await job.preprocess(context)),
        ...sequence.state,
        ...this.#controls(controls, step, sequence),
      }),
      postprocess: (outputs, context) => {
        sequence.state = Object.fromEntries(
          state.map(({ input, output }) => [input, tensorOf(outputs, output)]),
        )
        const isShown = (name: string) =>
          wanted === undefined ? !state.some(({ output }) => output === name) : wanted.includes(name)
        const shown = Object.entries(outputs).filter(([name]) => isShown(name))
        return job.postprocess(Object.fromEntries(shown), context)
      },
    }
    const turn = sequence.tail.then(() => this.#compute(request, stateful, signal, submitted))
    sequence.tail = turn.catch(() => {}) // the next chunk goes on from the state before
    try {
      return await turn
    } catch (error) {
      // What failed has not begun.
      if (step.start === true) this.#sequences.end(sequence)
      throw error
    } finally {
      sequence.numOpen--
      sequence.usedAt = performance.now()
      if (step.end === true) this.#sequences.end(sequence)
      this.#sweep()
    }
  }

  /** Without a chunk. Harmless where it is gone. */
  async #endSequence({ sequence: step }: OneShotRequest, submitted: number): Promise<ResultEvent> {
    const sequence = step === undefined ? undefined : this.#sequences.find(step.id)
    await sequence?.tail
    if (sequence !== undefined) this.#sequences.end(sequence)
    const timing = { ...NO_TIME, totalMs: performance.now() - submitted }
    return { type: 'result', outputs: {}, timing, batchSize: 0, isCached: false }
  }

  #controls(
    { start, end, ready, correlationId }: Sequencing['controls'],
    step: { readonly start?: boolean; readonly end?: boolean },
    { number }: Sequence,
  ): Tensors {
    const values = [
      [start, step.start === true ? 1 : 0],
      [end, step.end === true ? 1 : 0],
      [ready, 1],
      [correlationId, number],
    ] as const
    return Object.fromEntries(
      values.flatMap(([name, value]) =>
        name === undefined ? [] : [[name, controlTensor(this.#parts.inputs, name, value)]],
      ),
    )
  }

  /** Lets idle sequences go also when nobody asks any more. */
  #sweep(): void {
    clearTimeout(this.#sweeper)
    const now = performance.now()
    const next = this.#sequences.sweep(now)
    if (next === Infinity || this.#isDisposed) return
    this.#sweeper = setTimeout(() => this.#sweep(), Math.min(next - now, LONGEST_TIMER_MS))
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
    const computed = await this.#engine.submit({
      inputs,
      outputs: job.outputs,
      priority: checkNumber('priority', request.priority, 'a whole number', Number.isSafeInteger) ?? 0,
      timeoutMs: timeoutOf(request, ready - submitted),
      parameters: context.parameters,
      signal,
      ...(passes === undefined ? {} : { alone: async () => ((answer = await passes(context)), {}) }),
    })
    const run = performance.now()
    answer ??= await job.postprocess(computed.outputs, context)
    const over = performance.now()
    return this.#result(answer, computed, {
      preprocessMs: ready - began,
      postprocessMs: over - run,
      totalMs: over - submitted,
    })
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

  #fromCache(answer: Answer, submitted: number): ResultEvent {
    const totalMs = performance.now() - submitted
    this.#counters.succeeded++
    add(this.#counters.total, totalMs)
    return { type: 'result', ...answer, timing: { ...NO_TIME, totalMs }, batchSize: 0, isCached: true }
  }

  /** Refuses what the graph does not take, before anything waits. */
  #inferJob({ inputs, outputs, sequence }: InferRequest): Job {
    checkTensors(inputs, sequence === undefined ? this.#parts.inputs : this.#fromOutside(), 'input')
    checkOutputs(outputs, this.#parts.outputs)
    return {
      outputs,
      preprocess: () => inputs,
      postprocess: async (outputs) => ({ outputs }),
    }
  }

  #runJob({ input, sequence }: RunRequest): Job {
    const { handler, sessions } = this.#parts
    if (handler === undefined) {
      const message =
        'This model has no handler: ask it with tensors, by `infer`, or load it with a `handler`.'
      throw new EngineError('bad_request', message)
    }
    if (!('run' in handler))
      return {
        outputs: undefined,
        preprocess: (context) => handler.preprocess(input, context),
        postprocess: async (outputs, context) => ({ output: await handler.postprocess(outputs, context) }),
      }
    if (sequence !== undefined)
      throw new EngineError('bad_request', 'A handler that runs its own passes carries no sequence.')
    // Counted one by one: whoever watches over the worker sees that it gets on.
    const run = async (name: string, inputs: Tensors) => {
      const began = performance.now()
      const outputs = await sessionOf(sessions, name).run(inputs, undefined)
      this.#counters.ran(1, performance.now() - began)
      return outputs
    }
    return {
      outputs: undefined,
      preprocess: () => ({}),
      postprocess: async () => ({}),
      passes: async (context) => ({ output: await handler.run(input, { ...context, run }) }),
    }
  }

  /** Inputs that a chunk of a sequence brings itself. */
  #fromOutside(): readonly TensorSpec[] {
    const { state, controls } = this.#parts.sequencing
    const fed = new Set([...state.map(({ input }) => input), ...Object.values(controls)])
    return this.#parts.inputs.filter(({ name }) => !fed.has(name))
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

  #countFailure(code: EngineError['code']): void {
    if (code === 'queue_full') this.#counters.refused++
    else if (code === 'aborted') this.#counters.aborted++
    else this.#counters.failed++
  }
}

const NO_TIME = { queueMs: 0, preprocessMs: 0, inferMs: 0, postprocessMs: 0 } as const

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

function checkOutputs(outputs: unknown, specs: readonly TensorSpec[]): void {
  if (outputs === undefined) return
  const names = specs.map(({ name }) => name)
  if (isList(outputs) && outputs.length > 0 && outputs.every((name) => names.includes(name as string))) return
  throw refusal('outputs', outputs, `a list of some of ${names.join(', ')}`)
}

function controlTensor(inputs: readonly TensorSpec[], name: string, value: number): Tensors[string] {
  const spec = inputs.find((input) => input.name === name)
  if (spec === undefined) throw new Error(`there is no input ${name}`)
  const { datatype, shape = [1] } = spec
  const sizes = shape.map((size) => (typeof size === 'number' ? size : 1))
  if (datatype === 'BYTES') return { datatype, shape: sizes, data: [String(value)] }
  const array =
    datatype === 'INT64'
      ? BigInt64Array.of(BigInt(value))
      : datatype === 'UINT64'
        ? BigUint64Array.of(BigInt(value))
        : datatype === 'FP16'
          ? Uint16Array.of(value === 0 ? 0 : HALF_ONE)
          : new TENSOR_ARRAYS[datatype]([value])
  return { datatype, shape: sizes, data: array }
}

/** 1 in half precision. A sequence's number does not fit that type and is 1 too. */
const HALF_ONE = 0x3c00

function tensorOf(tensors: Tensors, name: string): Tensors[string] {
  const tensor = tensors[name]
  if (tensor === undefined) throw new Error(`the graph did not give ${name}`)
  return tensor
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

import type { BatchLayout, Sequence, Sequencing } from '@tabserve/engine'
import { Sequences, initialState } from '@tabserve/engine'
import type { OneShotStats, SequenceStep, TensorSpec, Tensors } from '@tabserve/protocol'
import { TENSOR_ARRAYS } from '@tabserve/protocol'
import type { Job } from './infer-job.ts'

/** The sequences of one model: whose turn it is, and what each chunk is fed. */
export class SequenceTurns {
  readonly #options: Sequencing
  readonly #inputs: readonly TensorSpec[]
  readonly #sequences: Sequences
  #sweeper: ReturnType<typeof setTimeout> | undefined
  #isDisposed = false

  constructor(options: Sequencing, inputs: readonly TensorSpec[], layout: BatchLayout | undefined) {
    this.#options = options
    this.#inputs = inputs
    const isRow = (input: string, axis: number) => layout?.inputs.get(input)?.row === axis
    this.#sequences = new Sequences(options, () =>
      Object.fromEntries(options.state.map((pair) => [pair.input, initialState(pair, inputs, isRow)])),
    )
  }

  /** Inputs that a chunk brings itself. */
  get fromOutside(): readonly TensorSpec[] {
    const { state, controls } = this.#options
    const fed = new Set([...state.map(({ input }) => input), ...Object.values(controls)])
    return this.#inputs.filter(({ name }) => !fed.has(name))
  }

  stats(): OneShotStats['sequences'] {
    return this.#sequences.stats()
  }

  /** Chunks of one sequence go one after the other, each with the state that the last one left. Throws as `Sequences.enter` does. */
  async take<Result>(step: SequenceStep, job: Job, compute: (job: Job) => Promise<Result>): Promise<Result> {
    const sequence = this.#sequences.enter(step, performance.now())
    sequence.numOpen++
    const turn = sequence.tail.then(() => compute(this.#stateful(job, step, sequence)))
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
  async end({ id }: SequenceStep): Promise<void> {
    const sequence = this.#sequences.find(id)
    await sequence?.tail
    if (sequence !== undefined) this.#sequences.end(sequence)
  }

  dispose(): void {
    this.#isDisposed = true
    clearTimeout(this.#sweeper)
  }

  /** The chunk's job, with state and controls fed, and state taken out of what it gives. */
  #stateful(job: Job, step: SequenceStep, sequence: Sequence): Job {
    const { state } = this.#options
    const wanted = job.outputs
    const isState = (name: string) => state.some(({ output }) => output === name)
    return {
      ...job,
      outputs:
        wanted === undefined ? undefined : [...new Set([...wanted, ...state.map(({ output }) => output)])],
      preprocess: async (context) => ({
        ...(await job.preprocess(context)),
        ...sequence.state,
        ...this.#controls(step, sequence),
      }),
      postprocess: (outputs, context) => {
        // A copy: what is asked for moves to the page.
        sequence.state = Object.fromEntries(
          state.map(({ input, output }) => [input, copyOf(tensorOf(outputs, output))]),
        )
        const isShown = (name: string) => (wanted === undefined ? !isState(name) : wanted.includes(name))
        const shown = Object.entries(outputs).filter(([name]) => isShown(name))
        return job.postprocess(Object.fromEntries(shown), context)
      },
    }
  }

  #controls(step: SequenceStep, { number }: Sequence): Tensors {
    const { start, end, ready, correlationId } = this.#options.controls
    const values = [
      [start, step.start === true ? 1 : 0],
      [end, step.end === true ? 1 : 0],
      [ready, 1],
      [correlationId, number],
    ] as const
    return Object.fromEntries(
      values.flatMap(([name, value]) =>
        name === undefined ? [] : [[name, controlTensor(this.#inputs, name, value)]],
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
}

/** A timer for longer fires at once. */
const LONGEST_TIMER_MS = 2 ** 31 - 1

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

function copyOf(tensor: Tensors[string]): Tensors[string] {
  return { ...tensor, data: tensor.data.slice() }
}

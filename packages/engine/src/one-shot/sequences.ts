import type { SequenceOptions, SequenceStep, StatePair, TensorSpec, Tensors } from '@tabserve/protocol'
import { EngineError, elementsOf } from '@tabserve/protocol'
import { checkNumber, isList, refusal } from '../check-option.ts'
import { refuseUnknown } from './batch-options.ts'
import { empty } from './tensor-rows.ts'

const IDLE_TIMEOUT_MS = 60_000
const MAX_SEQUENCES = 64

/** `SequenceOptions`, checked and filled in from the graph. */
export interface Sequencing {
  readonly state: readonly StatePair[]
  readonly controls: NonNullable<SequenceOptions['controls']>
  readonly idleTimeoutMs: number
  readonly maxSequences: number
}

/** Throws `bad_request`. */
export function resolveSequencing(
  options: SequenceOptions,
  inputs: readonly TensorSpec[],
  outputs: readonly TensorSpec[],
): Sequencing {
  const { state, controls = {}, idleTimeoutMs, maxSequences, ...unknown } = options
  refuseUnknown(unknown, 'sequence')
  if (state !== undefined && !isList(state)) throw refusal('sequence.state', state, 'a list of pairs')
  const pairs = state ?? pairsOf(inputs, outputs)
  for (const { input, output } of pairs) {
    if (!inputs.some(({ name }) => name === input))
      throw refusal('sequence.state', input, 'the name of an input')
    if (!outputs.some(({ name }) => name === output))
      throw refusal('sequence.state', output, 'the name of an output')
  }
  for (const name of Object.values(controls))
    if (!inputs.some((input) => input.name === name))
      throw refusal('sequence.controls', name, 'the name of an input')
  return {
    state: pairs,
    controls,
    idleTimeoutMs:
      checkNumber(
        'sequence.idleTimeoutMs',
        idleTimeoutMs,
        'a number of milliseconds above 0',
        (ms) => ms > 0,
      ) ?? IDLE_TIMEOUT_MS,
    maxSequences:
      checkNumber('sequence.maxSequences', maxSequences, 'a whole number above 0', (count) => count >= 1) ??
      MAX_SEQUENCES,
  }
}

/** `state` and `stateN`, `h` and `hn`, `cache` and `new_cache`, … of one type and rank. */
function pairsOf(inputs: readonly TensorSpec[], outputs: readonly TensorSpec[]): StatePair[] {
  return inputs.flatMap(({ name, datatype, shape }) => {
    const names = [
      `${name}N`,
      `${name}n`,
      `${name}_n`,
      `${name}_out`,
      `new_${name}`,
      `next_${name}`,
      `${name}_next`,
    ]
    const output = outputs.find(
      (other) =>
        names.includes(other.name) &&
        other.datatype === datatype &&
        (shape === undefined || other.shape === undefined || other.shape.length === shape.length),
    )
    return output === undefined ? [] : [{ input: name, output: output.name }]
  })
}

/** State as zeros, one row. Throws `bad_request` where the graph leaves sizes open that nobody says. @param rows the name of the dimension of rows. */
export function initialState(
  { input, shape: said }: StatePair,
  specs: readonly TensorSpec[],
  isRow: (input: string, axis: number) => boolean,
): Tensors[string] {
  const spec = specs.find(({ name }) => name === input)
  if (spec === undefined) throw new Error(`there is no input ${input}`)
  const shape = said ?? spec.shape?.map((size, axis) => (isRow(input, axis) ? 1 : size))
  if (shape?.every((size) => typeof size === 'number') !== true) {
    const message = `The graph leaves the size of the state ${input} open: say it in sequence.state, as shape.`
    throw new EngineError('bad_request', message, { param: 'sequence.state' })
  }
  const sizes = shape as readonly number[]
  return { datatype: spec.datatype, shape: sizes, data: empty(spec.datatype, elementsOf(sizes), 0) }
}

/** One sequence that has begun. */
export interface Sequence {
  readonly id: string
  /** Counts from 1. */
  readonly number: number
  state: Tensors
  /** Resolves when its last chunk is through: chunks go one after the other. */
  tail: Promise<unknown>
  usedAt: number
  numOpen: number
}

/** The sequences of one model and their state. Given its clock. */
export class Sequences {
  readonly #options: Sequencing
  readonly #initial: () => Tensors
  readonly #open = new Map<string, Sequence>()
  #numStarted = 0
  #numExpired = 0

  constructor(options: Sequencing, initial: () => Tensors) {
    this.#options = options
    this.#initial = initial
  }

  /** The sequence of a chunk. Throws `bad_request` for one that is not open, or open already; `queue_full`. */
  enter({ id, start = false }: SequenceStep, now: number): Sequence {
    this.sweep(now)
    if (typeof id !== 'string' || id === '') throw refusal('sequence.id', id, 'a string')
    const sequence = start ? this.#begin(id, now) : this.#open.get(id)
    if (sequence === undefined) {
      const { idleTimeoutMs } = this.#options
      const message = `The sequence ${id} is not open: it has ended, had no chunk for ${idleTimeoutMs} ms, or its worker died. Begin another one.`
      throw new EngineError('bad_request', message, { param: 'sequence.id' })
    }
    sequence.usedAt = now
    return sequence
  }

  find(id: string): Sequence | undefined {
    return this.#open.get(id)
  }

  end(sequence: Sequence): void {
    // Another one may go by its id by now.
    if (this.#open.get(sequence.id) === sequence) this.#open.delete(sequence.id)
  }

  /** Lets go of those that were idle for too long. Gives when the next one will have been; `Infinity`: there is none. */
  sweep(now: number): number {
    const { idleTimeoutMs } = this.#options
    let next = Infinity
    for (const sequence of this.#open.values()) {
      const end = sequence.numOpen > 0 ? now + idleTimeoutMs : sequence.usedAt + idleTimeoutMs
      if (end > now) next = Math.min(next, end)
      else {
        this.#open.delete(sequence.id)
        this.#numExpired++
      }
    }
    return next
  }

  stats(): { open: number; started: number; expired: number } {
    return { open: this.#open.size, started: this.#numStarted, expired: this.#numExpired }
  }

  #begin(id: string, now: number): Sequence {
    const { maxSequences } = this.#options
    if (this.#open.has(id))
      throw new EngineError('bad_request', `The sequence ${id} has begun already.`, { param: 'sequence.id' })
    if (this.#open.size >= maxSequences)
      throw new EngineError(
        'queue_full',
        `${maxSequences} sequences are open, as many as may. End one first.`,
      )
    const sequence: Sequence = {
      id,
      number: ++this.#numStarted,
      state: this.#initial(),
      tail: Promise.resolve(),
      usedAt: now,
      numOpen: 0,
    }
    this.#open.set(id, sequence)
    return sequence
  }
}

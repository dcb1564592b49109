import type { Logits, Run } from '@tabserve/engine'
import type { Address, KernelExports } from '@tabserve/kernels'
import type { KernelHeap } from './kernel-heap.ts'

/** Most logits that are picked out in the heap; who wants more gets whole rows. */
const MAX_TOP = 64

export interface BatchRoom {
  /** Tokens, and runs, of the largest step. */
  readonly tokens: number
  readonly runs: number
  /** Positions a block. */
  readonly blockTokens: number
  /** Blocks of the longest table. */
  readonly tableLength: number
  /** Rows of logits that one pass gives. */
  readonly outputs: number
  readonly vocabSize: number
}

/** One row of logits that a run wants. */
export interface Output {
  readonly run: number
  /** Index of the token within the run. */
  readonly token: number
  readonly top: number
}

/** The record of `assembly/model.ts` that says what a step computes, and the arrays it points at. */
export class KernelBatch {
  readonly address: Address
  readonly #kernels: KernelExports
  readonly #heap: KernelHeap
  readonly #room: BatchRoom
  readonly #ids: Address
  readonly #positions: Address
  readonly #runOf: Address
  readonly #firstToken: Address
  readonly #tables: Address
  readonly #tableEntries: Address
  readonly #outputTokens: Address
  readonly #logits: Address
  readonly #tops: Address
  readonly #topIds: Address
  readonly #topValues: Address

  constructor(kernels: KernelExports, heap: KernelHeap, room: BatchRoom) {
    const words = (count: number) => heap.allocate(4 * count)
    const { tokens, runs, tableLength, outputs, vocabSize } = room
    this.#kernels = kernels
    this.#heap = heap
    this.#room = room
    this.address = heap.allocate(kernels.BATCH_BYTES.value as number)
    this.#ids = words(tokens)
    this.#positions = words(tokens)
    this.#runOf = words(tokens)
    this.#firstToken = words(runs + 1)
    this.#tables = words(runs)
    this.#tableEntries = words(runs * tableLength)
    this.#outputTokens = words(outputs)
    this.#tops = words(outputs)
    this.#topIds = words(outputs * MAX_TOP)
    this.#topValues = words(outputs * MAX_TOP)
    this.#logits = words(outputs * vocabSize)
  }

  /** Writes a step. Throws plain `Error` where it does not fit: that is the scheduler's bug. @param outputs at most as many as there is room for */
  write(runs: readonly Run[], outputs: readonly Output[]): void {
    const { tokens: most, runs: mostRuns, tableLength, vocabSize } = this.#room
    const tokens = runs.reduce((sum, run) => sum + run.tokens.length, 0)
    if (tokens > most || runs.length > mostRuns)
      throw new Error(`a step of ${tokens} tokens in ${runs.length} runs; ${most} in ${mostRuns} fit`)
    const ids = this.#heap.ints(this.#ids, tokens)
    const positions = this.#heap.ints(this.#positions, tokens)
    const runOf = this.#heap.ints(this.#runOf, tokens)
    const firstToken = this.#heap.ints(this.#firstToken, runs.length + 1)
    const tables = this.#heap.ints(this.#tables, runs.length)
    let at = 0
    runs.forEach((run, index) => {
      firstToken[index] = at
      const entries = this.#tableEntries + 4 * index * tableLength
      tables[index] = entries
      this.#writeTable(run, entries)
      for (const [offset, token] of run.tokens.entries()) {
        if (!(token >= 0 && token < vocabSize))
          throw new Error(`token ${token} of a vocabulary of ${vocabSize}`)
        ids[at] = token
        positions[at] = run.from + offset
        runOf[at++] = index
      }
    })
    firstToken[runs.length] = at
    this.#writeOutputs(outputs, firstToken)
    this.#set(tokens, runs.length, outputs)
  }

  /** What the step gave for the outputs from `first` on; views, until the next step. All of one run. */
  read(first: number, outputs: readonly Output[], maxTop: number): Logits {
    const { vocabSize } = this.#room
    const top = outputs[0]?.top ?? 0
    const count = outputs.length
    if (top === 0) {
      const values = this.#heap.floats(this.#logits + 4 * first * vocabSize, count * vocabSize)
      return { values, tokens: undefined }
    }
    const ids = this.#heap.ints(this.#topIds + 4 * first * maxTop, count * maxTop)
    const values = this.#heap.floats(this.#topValues + 4 * first * maxTop, count * maxTop)
    if (top === maxTop || count <= 1)
      return { values: values.subarray(0, count * top), tokens: ids.subarray(0, count * top) }
    return { values: closeUp(values, count, top, maxTop), tokens: closeUp(ids, count, top, maxTop) }
  }

  #writeTable({ kv, from, tokens }: Run, to: Address): void {
    if (!('blocks' in kv)) throw new Error('a row for a runner whose KV lies in blocks')
    const length = Math.ceil((from + tokens.length) / this.#room.blockTokens)
    if (length > this.#room.tableLength || kv.blocks.length < length)
      throw new Error(`a table of ${kv.blocks.length} blocks for ${from + tokens.length} positions`)
    this.#heap.ints(to, length).set(kv.blocks.subarray(0, length))
  }

  #writeOutputs(outputs: readonly Output[], firstToken: Int32Array): void {
    const tokens = this.#heap.ints(this.#outputTokens, outputs.length)
    const tops = this.#heap.ints(this.#tops, outputs.length)
    outputs.forEach(({ run, token, top }, index) => {
      tokens[index] = (firstToken[run] ?? 0) + token
      tops[index] = top
    })
  }

  #set(tokens: number, runs: number, outputs: readonly Output[]): void {
    this.#kernels.setBatch(
      this.address,
      tokens,
      this.#ids,
      this.#positions,
      this.#runOf,
      runs,
      this.#firstToken,
      this.#tables,
      outputs.length,
      this.#outputTokens,
      this.#logits,
      this.#tops,
      maxTopOf(outputs),
      this.#topIds,
      this.#topValues,
    )
  }
}

/** The rows of logits that a step's runs want, run by run. */
export function outputsOf(runs: readonly Run[], vocabSize: number): Output[] {
  return runs.flatMap(({ tokens, wantLogits, top }, run) => {
    if (wantLogits === 'none') return []
    const wanted = wantLogits === 'last' ? [tokens.length - 1] : [...tokens.keys()]
    const picked = Math.min(top, vocabSize)
    return wanted.map((token) => ({ run, token, top: picked <= MAX_TOP ? picked : 0 }))
  })
}

export function maxTopOf(outputs: readonly Output[]): number {
  return outputs.reduce((most, { top }) => Math.max(most, top), 0)
}

/** Rows of `top` that lie `stride` apart, one behind the other. */
function closeUp<T extends Float32Array | Int32Array>(
  values: T,
  count: number,
  top: number,
  stride: number,
): T {
  for (let row = 1; row < count; row++) values.copyWithin(row * top, row * stride, row * stride + top)
  return values.subarray(0, count * top) as T
}

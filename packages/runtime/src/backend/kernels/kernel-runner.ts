import type { Capabilities, KvCopy, KvPlace, Logits, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { Address, KernelExports } from '@tabserve/kernels'
import { KV_KIND } from '@tabserve/kernels'
import type { DecoderGraph, DecoderTraits } from '@tabserve/protocol'
import { EngineError, tensorBytes } from '@tabserve/protocol'
import type { RunnerOptions } from '../runner-options.ts'
import type { Output } from './kernel-batch.ts'
import { KernelBatch, maxTopOf, outputsOf } from './kernel-batch.ts'
import { KernelHeap } from './kernel-heap.ts'
import type { KernelBlocks } from './kernel-kv.ts'
import { readBlocks, writeBlocks } from './kernel-kv.ts'
import type { KernelModel } from './kernel-model.ts'
import { layOutModel } from './kernel-model.ts'
import { KernelTeam } from './kernel-thread.ts'
import { WeightStream } from './weight-stream.ts'

/** Rows of logits that one pass gives at most take so many bytes; a pass that wants more is made in parts. */
const LOGITS_BYTES = 2 ** 26
/** What alignment, rounding up to panels, records and scratch may add to the weights' size. */
const SPARE_BYTES = 2 ** 26
const MAX_HEAP_BYTES = 2 ** 32 - 65536

/** A decoder run by our own kernels: KV in blocks, prompts and answers of any sequences in one step. */
export class KernelRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly kvLayout: string
  readonly #kernels: KernelExports
  readonly #heap: KernelHeap
  readonly #model: KernelModel
  readonly #batch: KernelBatch
  readonly #pool: Address
  readonly #maxOutputs: number
  readonly #threads: number
  /** Until the weights are there. */
  #weights: WeightStream | undefined
  #team: KernelTeam | undefined
  #isBroken = false
  /** So many blocks' KV lies together. */
  readonly #slabBlocks: number
  readonly #blocks: KernelBlocks
  /** Blocks of the slabs that were ever written. */
  #numBlocksHeld = 0

  /**
   * @param chunks the bytes of the external data file, in order.
   * Throws `bad_model` where the file ends before the last tensor, `bad_request` where the model does not fit 4 GiB.
   */
  static async create(
    module: WebAssembly.Module,
    threads: number,
    graph: DecoderGraph,
    traits: DecoderTraits,
    chunks: AsyncIterable<Uint8Array>,
    options: RunnerOptions,
  ): Promise<KernelRunner> {
    const heap = new KernelHeap(heapBytes(graph, traits, options), threads > 1)
    const { memory } = heap
    const instance = await WebAssembly.instantiate(module, { env: { memory } })
    const kernels = instance.exports as unknown as KernelExports
    const runner = new KernelRunner(kernels, heap, threads, graph, traits, options)
    await runner.#readWeights(graph, chunks)
    if (threads > 1) {
      const { model } = runner.#model
      const batch = runner.#batch.address
      runner.#team = await KernelTeam.create({ module, memory, model, batch, threads })
    }
    return runner
  }

  private constructor(
    kernels: KernelExports,
    heap: KernelHeap,
    threads: number,
    graph: DecoderGraph,
    traits: DecoderTraits,
    options: RunnerOptions,
  ) {
    const { contextLength, maxRunning, kvType = 'float32', logitsBytes = LOGITS_BYTES } = options
    const { vocabSize } = graph
    const tokens = Math.max(options.maxTokensPerStep, maxRunning)
    this.#kernels = kernels
    this.#heap = heap
    this.#threads = threads
    this.#model = layOutModel(kernels, heap, graph, traits, {
      contextLength,
      tokens,
      threads,
      kvKind: KV_KIND[kvType],
    })
    this.#maxOutputs = Math.max(1, Math.min(tokens, Math.floor(logitsBytes / (4 * vocabSize))))
    const blockTokens = kernels.BLOCK_TOKENS.value as number
    const tableLength = Math.ceil(contextLength / blockTokens)
    const room = { tokens, runs: maxRunning, blockTokens, tableLength, outputs: this.#maxOutputs, vocabSize }
    this.#batch = new KernelBatch(kernels, heap, room)
    this.#weights = new WeightStream(heap, this.#model.sinks)
    this.#pool = heap.allocate(0)
    const numAffordable = Math.min(
      maxRunning * tableLength,
      Math.floor(options.kvBudgetBytes / this.#model.blockBytes),
      Math.floor((MAX_HEAP_BYTES - this.#pool) / this.#model.blockBytes),
    )
    if (numAffordable < tableLength) {
      const needed = tableLength * this.#model.blockBytes
      const message = `The KV of one context of ${contextLength} positions takes ${needed} bytes, more than there is room for. Raise kvBudgetBytes, or lower contextLength.`
      throw new EngineError('bad_request', message)
    }
    this.#slabBlocks = slabBlocksFor(numAffordable, tableLength)
    this.#model.place(this.#pool, this.#slabBlocks)
    const { cache } = this.#model
    const { layers, kvHeads, headDim } = graph
    this.#blocks = { kernels, heap, cache, layers, kvHeads, slabBlocks: this.#slabBlocks }
    this.kvLayout = `blocks of ${blockTokens}, ${kvType} [${layers}, ${kvHeads}, keys and values, ${headDim}]`
    const numBlocks = this.#reservePool(numAffordable, tableLength)
    this.capabilities = {
      mixed: true,
      batchedPrefill: true,
      paged: { numBlocks, blockTokens },
      maxRows: maxRunning,
      maxContext: contextLength,
      maxTokensPerStep: tokens,
      vocabSize,
    }
  }

  get kvBytes(): number {
    return this.#numBlocksHeld * this.#model.blockBytes
  }

  get maxKvBytes(): number {
    return (this.capabilities.paged?.numBlocks ?? 0) * this.#model.blockBytes
  }

  /** Bytes of the wasm memory that are in use: weights, working memory and KV. */
  get heapBytes(): number {
    return this.#heap.bytes + this.kvBytes
  }

  async run({ runs }: Step): Promise<StepResult> {
    for (const { kv } of runs) if ('blocks' in kv) this.#touch(Math.max(...kv.blocks) + 1)
    const outputs = outputsOf(runs, this.capabilities.vocabSize)
    if (outputs.length > this.#maxOutputs) return this.#runInParts(runs, outputs)
    this.#batch.write(runs, outputs)
    this.#forward()
    const maxTop = maxTopOf(outputs)
    let first = 0
    return {
      outputs: runs.map((_, index) => {
        const own = outputs.filter(({ run }) => run === index)
        first += own.length
        return this.#batch.read(first - own.length, own, maxTop)
      }),
    }
  }

  copyKv(copies: readonly KvCopy[]): void {
    for (const { from, to } of copies) {
      this.#touch(Math.max(from, to) + 1)
      this.#kernels.copyBlock(this.#model.cache, from, to)
    }
  }

  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return readBlocks(this.#blocks, this.#blocksOf(place, numTokens))
  }

  async writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    const ids = this.#blocksOf(place, numTokens)
    this.#touch(Math.max(...ids) + 1)
    writeBlocks(this.#blocks, ids, bytes)
  }

  async dispose(): Promise<void> {
    if (this.#team === undefined) return
    this.#kernels.dismiss(this.#model.model, this.#threads)
    this.#team.dispose()
  }

  async #readWeights({ externalData }: DecoderGraph, chunks: AsyncIterable<Uint8Array>): Promise<void> {
    const stream = this.#weights
    for await (const chunk of chunks) stream?.write(chunk)
    if (stream?.isComplete !== true) {
      const message = `${externalData} ends before the last tensor that the manifest lists. Convert the model again.`
      throw new EngineError('bad_model', message, { file: externalData })
    }
    this.#weights = undefined
  }

  /**
   * Reserves the pool, or as much of it as the machine gives: a step must not be the first to hear that there is no more. Pages that nobody has
   * written cost nothing. Throws `RangeError` where not even one context fits.
   */
  #reservePool(numAffordable: number, tableLength: number): number {
    const least = this.#slabBlocks * Math.ceil(tableLength / this.#slabBlocks)
    const most = this.#slabBlocks * Math.floor(numAffordable / this.#slabBlocks)
    for (let numBlocks = most; ;) {
      try {
        this.#heap.reserve(this.#pool + numBlocks * this.#model.blockBytes)
        return numBlocks
      } catch (error) {
        if (numBlocks === least) throw error
        numBlocks = Math.max(least, this.#slabBlocks * Math.floor(numBlocks / 2 / this.#slabBlocks))
      }
    }
  }

  #blocksOf(place: KvPlace, numTokens: number): Int32Array {
    if ('row' in place) throw new Error('a row for a runner whose KV lies in blocks')
    const numBlocks = Math.ceil(numTokens / (this.capabilities.paged?.blockTokens ?? 1))
    if (numBlocks > place.blocks.length) throw new Error('a table that is shorter than its text')
    return place.blocks.subarray(0, numBlocks)
  }

  /** Counts the blocks below `end` as written. */
  #touch(end: number): void {
    const { numBlocks } = this.capabilities.paged ?? { numBlocks: 0 }
    if (end > numBlocks) throw new Error(`block ${end - 1} of ${numBlocks}`)
    const numHeld = this.#slabBlocks * Math.ceil(end / this.#slabBlocks)
    this.#numBlocksHeld = Math.max(this.#numBlocksHeld, numHeld)
  }

  /** Throws `backend_failed` when a helper thread is gone; threads that no longer meet cannot compute another step. */
  #forward(): void {
    if (this.#isBroken) throw teamLost()
    try {
      this.#kernels.forward(this.#model.model, this.#batch.address, this.#threads)
    } catch (cause) {
      this.#isBroken = true
      throw teamLost(cause)
    }
  }

  /** Reads the same tokens again for each part of the logits: the KV it writes is the same each time. */
  #runInParts(runs: Step['runs'], outputs: readonly Output[]): StepResult {
    const { vocabSize } = this.capabilities
    const rows = runs.map((_, index) => outputs.filter(({ run }) => run === index).length * vocabSize)
    const values = rows.map((size) => new Float32Array(size))
    const filled = rows.map(() => 0)
    for (let first = 0; first < outputs.length; first += this.#maxOutputs) {
      const part = outputs.slice(first, first + this.#maxOutputs).map((output) => ({ ...output, top: 0 }))
      this.#batch.write(runs, part)
      this.#forward()
      part.forEach(({ run }, index) => {
        values[run]?.set(this.#batch.read(index, part.slice(index, index + 1), 0).values, filled[run])
        filled[run] = (filled[run] ?? 0) + vocabSize
      })
    }
    return { outputs: values.map((rows): Logits => ({ values: rows, tokens: undefined })) }
  }
}

function teamLost(cause?: unknown): EngineError {
  const advice = 'Unload the model and load it again, with threads: 1 if it stays.'
  return new EngineError('backend_failed', `A thread of the kernels did not answer. ${advice}`, { cause })
}

/** Most bytes that a model's heap may come to take. */
function heapBytes(
  graph: DecoderGraph,
  { tensors, feedForwardSize }: DecoderTraits,
  options: RunnerOptions,
): number {
  const weights = tensors.reduce((sum, tensor) => sum + tensorBytes(tensor), 0)
  const { contextLength, maxTokensPerStep, maxRunning, kvBudgetBytes } = options
  const tokens = Math.max(maxTokensPerStep, maxRunning)
  const { hiddenSize, heads, kvHeads, headDim } = graph
  const perToken = 4 * (6 * hiddenSize + 6 * (heads + kvHeads) * headDim + 6 * feedForwardSize)
  const scores = 4 * 8 * 8 * contextLength
  const total = 1.1 * weights + tokens * perToken + scores + LOGITS_BYTES + SPARE_BYTES + kvBudgetBytes
  return Math.min(MAX_HEAP_BYTES, total)
}

/** The larger, the better KV lies in memory; but only whole slabs count, and at most a sixteenth may be lost to that. */
function slabBlocksFor(numBlocks: number, tableLength: number): number {
  const isGood = (slab: number) => {
    const numLeft = slab * Math.floor(numBlocks / slab)
    return numLeft >= tableLength && numBlocks - numLeft <= numBlocks / 16
  }
  return [32, 16, 8, 4, 2].find(isGood) ?? 1
}

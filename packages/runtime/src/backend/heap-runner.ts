import type { Capabilities, KvCopy, KvPlace, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import type { Batch, DecoderFiles } from './decoder-io.ts'
import { INPUT, LOGITS, checkNames, kvNames, layOut, outputsOfRuns } from './decoder-io.ts'
import { HeapKv } from './heap-kv.ts'
import type { TensorHandle } from './heap-session.ts'
import { ELEMENT, HeapSession, allocate, heapTensor } from './heap-session.ts'
import type { OrtModule } from './ort-module.ts'
import { rowIn } from './row-bytes.ts'
import type { RowRoom } from './runner-options.ts'
import { capabilitiesOf } from './runner-options.ts'

/**
 * Runs a decoder whose KV cache lives in the wasm heap: it stays where it is, the same memory bound as past and present, so that
 * GroupQueryAttention writes in place and a step copies nothing. Measured against the public API by `bench context`.
 */
export class HeapRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly #module: OrtModule
  readonly #session: HeapSession
  readonly #graph: DecoderGraph
  readonly #kv: HeapKv
  /** One block of int32: ids, then a length a row, then the total, then logits indices. */
  readonly #integers: number
  readonly #maxIds: number
  #logits: number
  #logitsCapacity = 1

  static async create(
    module: OrtModule,
    graph: DecoderGraph,
    files: DecoderFiles,
    options: RowRoom,
  ): Promise<HeapRunner> {
    const session = await HeapSession.create(
      module,
      files.graph,
      new Map([[graph.externalData, files.externalData]]),
    )
    try {
      checkNames(graph, session.inputNames, session.outputNames)
      return new HeapRunner(module, session, graph, options)
    } catch (error) {
      session.dispose()
      throw error
    }
  }

  private constructor(module: OrtModule, session: HeapSession, graph: DecoderGraph, options: RowRoom) {
    this.#module = module
    this.#session = session
    this.#graph = graph
    const { kvHeads, headDim } = graph
    this.#kv = new HeapKv(module, { ...kvNames(graph.layers), kvHeads, headDim, dtype: 'float32' }, options)
    const { rows, maxTokensPerStep } = options
    this.#maxIds = Math.max(rows, maxTokensPerStep)
    this.#integers = allocate(module, 4 * (2 * this.#maxIds + rows + 1))
    this.#logits = allocate(module, 4 * graph.vocabSize)
    this.capabilities = capabilitiesOf(graph, options)
  }

  async run(step: Step): Promise<StepResult> {
    const batch = layOut(step)
    if (batch.ids.length > this.#maxIds)
      throw new Error(`a step of ${batch.ids.length} tokens; ${this.#maxIds} fit`)
    this.#kv.reserve(batch.totalLength)
    const numLogits = batch.logitsIndex.length
    this.#reserveLogits(numLogits)
    const owned = this.#bind(batch)
    try {
      const inputs = this.#session.inputNames.map((name) => owned.get(name) ?? this.#kv.tensor(name, batch))
      const outputs = this.#session.outputNames.map((name) => owned.get(name) ?? this.#kv.tensor(name, batch))
      await this.#session.run(inputs, outputs)
    } finally {
      for (const tensor of owned.values()) this.#module._OrtReleaseTensor(tensor)
    }
    const { vocabSize } = this.#graph
    const view = new Float32Array(this.#module.HEAPU8.buffer, this.#logits, numLogits * vocabSize)
    return { outputs: outputsOfRuns(view, batch, vocabSize) }
  }

  get kvBytes(): number {
    return this.#kv.bytes
  }

  copyKv(copies: readonly KvCopy[]): void {
    this.#kv.copy(copies)
  }

  get kvLayout(): string {
    return this.#kv.layout
  }

  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#kv.read(rowIn(place), numTokens)
  }

  async writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#kv.write(rowIn(place), numTokens, bytes)
  }

  async dispose(): Promise<void> {
    this.#kv.dispose()
    this.#module._free(this.#integers)
    this.#module._free(this.#logits)
    this.#session.dispose()
  }

  /** Writes the integers of a batch and makes its tensors. Their shapes change from step to step; making one costs microseconds. */
  #bind(batch: Batch): Map<string, TensorHandle> {
    const { ids, seqlens, totalLength, logitsIndex, numRows, width } = batch
    const tensors = new Map<string, TensorHandle>()
    let at = this.#integers
    const bind = (name: string, values: ArrayLike<number>, dims: readonly number[]) => {
      this.#module.HEAP32.set(values, at >> 2)
      tensors.set(name, heapTensor(this.#module, ELEMENT.int32, at, 4 * values.length, dims))
      at += 4 * values.length
    }
    bind(INPUT.ids, ids, [numRows, width])
    bind(INPUT.seqlens, seqlens, [numRows])
    bind(INPUT.total, [totalLength], [])
    bind(INPUT.logitsIndex, logitsIndex, [logitsIndex.length])
    const shape = [logitsIndex.length, this.#graph.vocabSize] as const
    tensors.set(
      LOGITS,
      heapTensor(this.#module, ELEMENT.float32, this.#logits, 4 * shape[0] * shape[1], shape),
    )
    return tensors
  }

  #reserveLogits(count: number): void {
    if (count <= this.#logitsCapacity) return
    const larger = allocate(this.#module, 4 * count * this.#graph.vocabSize)
    this.#module._free(this.#logits)
    this.#logits = larger
    this.#logitsCapacity = count
  }
}

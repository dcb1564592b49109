import type { Capabilities, KvCopy, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import type { Batch, DecoderFiles } from './decoder-io.ts'
import { INPUT, LOGITS, checkNames, kvNames, layOut, outputsOfRuns } from './decoder-io.ts'
import type { TensorHandle } from './heap-session.ts'
import { ELEMENT, HeapSession, allocate, heapTensor } from './heap-session.ts'
import type { KvShape } from './kv-layout.ts'
import { capacityFor, copyRows, kvShapeOf, moveRows, rowSizeOf } from './kv-layout.ts'
import type { OrtModule } from './ort-module.ts'
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
    this.#kv = new HeapKv(module, graph, options)
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

/** K and V of every layer, one cache each, and the tensors over their rows. */
class HeapKv {
  readonly #module: OrtModule
  readonly #graph: DecoderGraph
  readonly #options: RowRoom
  readonly #names: ReturnType<typeof kvNames>
  #shape: KvShape
  #pointers: readonly number[]
  /** Both `past_key_values.0.key` and `present.0.key` lead to the same memory. */
  readonly #memory = new Map<string, number>()
  readonly #tensors = new Map<string, TensorHandle>()

  constructor(module: OrtModule, graph: DecoderGraph, options: RowRoom) {
    this.#module = module
    this.#graph = graph
    this.#options = options
    this.#names = kvNames(graph.layers)
    this.#shape = kvShapeOf(graph, options.rows, capacityFor(1, options.contextLength))
    this.#pointers = this.#allocate(this.#shape)
    this.#point()
  }

  get bytes(): number {
    return this.#pointers.length * bytesOf(this.#shape)
  }

  /** Makes room for `length` positions a row. Throws when the heap cannot grow; what there was is then as it was. */
  reserve(length: number): void {
    const { rows, contextLength } = this.#options
    if (length <= this.#shape.capacity) return
    const larger = kvShapeOf(this.#graph, rows, capacityFor(length, contextLength))
    const pointers = this.#allocate(larger)
    this.#pointers.forEach((pointer, index) => {
      const target = this.#floats(pointers[index] ?? 0, larger)
      moveRows(this.#floats(pointer, this.#shape), this.#shape, target, larger.capacity)
    })
    this.dispose()
    this.#shape = larger
    this.#pointers = pointers
    this.#point()
  }

  copy(copies: readonly KvCopy[]): void {
    for (const pointer of this.#pointers) copyRows(this.#floats(pointer, this.#shape), this.#shape, copies)
  }

  /** The tensor [numRows, kvHeads, capacity, headDim] that begins at a batch's first row; made once, kept. */
  tensor(name: string, { firstRow, numRows }: Batch): TensorHandle {
    const memory = this.#memory.get(name)
    if (memory === undefined) throw new Error(`the graph has an input or output that we do not know: ${name}`)
    const rowBytes = 4 * rowSizeOf(this.#shape)
    const pointer = memory + firstRow * rowBytes
    const key = `${pointer}×${numRows}`
    const known = this.#tensors.get(key)
    if (known !== undefined) return known
    const { heads, capacity, size } = this.#shape
    const dims = [numRows, heads, capacity, size]
    const tensor = heapTensor(this.#module, ELEMENT.float32, pointer, numRows * rowBytes, dims)
    this.#tensors.set(key, tensor)
    return tensor
  }

  dispose(): void {
    for (const tensor of this.#tensors.values()) this.#module._OrtReleaseTensor(tensor)
    this.#tensors.clear()
    for (const pointer of this.#pointers) this.#module._free(pointer)
  }

  #allocate(shape: KvShape): readonly number[] {
    const pointers: number[] = []
    try {
      for (const _ of this.#names.past) {
        const pointer = allocate(this.#module, bytesOf(shape))
        pointers.push(pointer)
        // Positions behind a row's length are never read as values, but 0 × NaN would be NaN.
        this.#floats(pointer, shape).fill(0)
      }
      return pointers
    } catch (error) {
      for (const pointer of pointers) this.#module._free(pointer)
      throw error
    }
  }

  #point(): void {
    const { past, present } = this.#names
    this.#pointers.forEach((pointer, index) => {
      this.#memory.set(past[index] ?? '', pointer)
      this.#memory.set(present[index] ?? '', pointer)
    })
  }

  /** Taken anew each time: the heap may have grown. */
  #floats(pointer: number, shape: KvShape): Float32Array {
    return new Float32Array(this.#module.HEAPU8.buffer, pointer, shape.rows * rowSizeOf(shape))
  }
}

function bytesOf(shape: KvShape): number {
  return 4 * shape.rows * rowSizeOf(shape)
}

import type { Capabilities, KvCopy, KvPlace, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import type { DecoderFiles } from './decoder-io.ts'
import { INPUT, LOGITS, checkNames, kvNames, layOut, outputsOfRuns } from './decoder-io.ts'
import type { KvShape } from './kv-layout.ts'
import { capacityFor, copyRows, kvShapeOf, moveRows, rowSizeOf } from './kv-layout.ts'
import type { PublicOrt } from './public-ort.ts'
import { InferenceSession, Tensor } from './public-ort.ts'
import { readRow, rowIn, rowKvLayout, writeRow } from './row-bytes.ts'
import type { RowRoom } from './runner-options.ts'
import { capabilitiesOf } from './runner-options.ts'

/**
 * Runs a decoder through onnxruntime-web's public API: the fallback, and the reference of the conformance suite.
 * KV is copied into the heap and out of it in every step.
 */
export class PublicRunner implements ModelRunner {
  readonly capabilities: Capabilities
  readonly #ort: PublicOrt
  readonly #session: InferenceSession
  readonly #graph: DecoderGraph
  readonly #past: readonly string[]
  readonly #present: readonly string[]
  #shape: KvShape
  /** K and V of every layer, one cache each. */
  #kv: Float32Array[]

  static async create(
    ort: PublicOrt,
    graph: DecoderGraph,
    files: DecoderFiles,
    options: RowRoom,
  ): Promise<PublicRunner> {
    const session = await ort.call(() =>
      InferenceSession.create(files.graph, {
        executionProviders: ['wasm'],
        graphOptimizationLevel: 'all',
        externalData: [{ path: graph.externalData, data: files.externalData }],
      }),
    )
    try {
      checkNames(graph, session.inputNames, session.outputNames)
      return new PublicRunner(ort, session, graph, options)
    } catch (error) {
      await ort.call(() => session.release())
      throw error
    }
  }

  private constructor(ort: PublicOrt, session: InferenceSession, graph: DecoderGraph, options: RowRoom) {
    this.#ort = ort
    this.#session = session
    this.#graph = graph
    const { rows, contextLength } = options
    const { past, present } = kvNames(graph.layers)
    this.#past = past
    this.#present = present
    this.#shape = kvShapeOf(graph, rows, capacityFor(1, contextLength))
    this.#kv = past.map(() => new Float32Array(rows * rowSizeOf(this.#shape)))
    this.capabilities = capabilitiesOf(graph, options)
  }

  async run(step: Step): Promise<StepResult> {
    const batch = layOut(step)
    this.#reserve(batch.totalLength)
    const { firstRow, numRows } = batch
    const { vocabSize } = this.#graph
    const { heads, capacity, size } = this.#shape
    const dims = [numRows, heads, capacity, size]
    const rowSize = rowSizeOf(this.#shape)
    const rowsOf = (kv: Float32Array) => kv.subarray(firstRow * rowSize, (firstRow + numRows) * rowSize)
    const feeds: Record<string, Tensor> = {
      [INPUT.ids]: new Tensor('int32', batch.ids, [numRows, batch.width]),
      [INPUT.seqlens]: new Tensor('int32', batch.seqlens, [numRows]),
      [INPUT.total]: new Tensor('int32', Int32Array.of(batch.totalLength), []),
      [INPUT.logitsIndex]: new Tensor('int32', batch.logitsIndex, [batch.logitsIndex.length]),
    }
    this.#kv.forEach(
      (kv, index) => (feeds[this.#past[index] ?? ''] = new Tensor('float32', rowsOf(kv), dims)),
    )
    const results = await this.#ort.call(() => this.#session.run(feeds))
    const present = this.#present.map((name) => floats(results, name))
    // The whole pool came back: it is the next past as it is, without another copy.
    if (numRows === this.capabilities.maxRows) this.#kv = present
    else this.#kv.forEach((kv, index) => rowsOf(kv).set(present[index] ?? []))
    return { outputs: outputsOfRuns(floats(results, LOGITS), batch, vocabSize) }
  }

  get kvBytes(): number {
    return 4 * this.#kv.length * this.#shape.rows * rowSizeOf(this.#shape)
  }

  copyKv(copies: readonly KvCopy[]): void {
    for (const kv of this.#kv) copyRows(kv, this.#shape, copies)
  }

  get kvLayout(): string {
    return rowKvLayout(this.#kv.length, this.#shape, 'float32')
  }

  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return readRow(this.#kv, this.#shape, rowIn(place), numTokens)
  }

  async writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    this.#reserve(numTokens)
    writeRow(this.#kv, this.#shape, rowIn(place), numTokens, bytes)
  }

  async dispose(): Promise<void> {
    await this.#ort.call(() => this.#session.release())
  }

  #reserve(length: number): void {
    if (length <= this.#shape.capacity) return
    const capacity = capacityFor(length, this.capabilities.maxContext)
    const larger = kvShapeOf(this.#graph, this.#shape.rows, capacity)
    this.#kv = this.#kv.map((kv) => {
      const room = new Float32Array(larger.rows * rowSizeOf(larger))
      moveRows(kv, this.#shape, room, capacity)
      return room
    })
    this.#shape = larger
  }
}

function floats(results: InferenceSession.ReturnType, name: string): Float32Array {
  const tensor = results[name]
  if (tensor === undefined) throw new Error(`the graph has no output ${name}`)
  return tensor.data as Float32Array // the graph's contract says float32
}

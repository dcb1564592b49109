import type { Capabilities, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import type { DecoderFiles } from './decoder-io.ts'
import { INPUT, LOGITS, checkNames, kvNames, layOut, logitsOfRuns } from './decoder-io.ts'
import type { PublicOrt } from './public-ort.ts'
import { InferenceSession, Tensor } from './public-ort.ts'
import type { RunnerOptions } from './runner-options.ts'
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
  /** float32 [rows, kvHeads, capacity, headDim] for K and V of every layer. */
  #kv: Float32Array[]
  readonly #rowSize: number

  static async create(
    ort: PublicOrt,
    graph: DecoderGraph,
    files: DecoderFiles,
    options: RunnerOptions,
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

  private constructor(
    ort: PublicOrt,
    session: InferenceSession,
    graph: DecoderGraph,
    options: RunnerOptions,
  ) {
    this.#ort = ort
    this.#session = session
    this.#graph = graph
    const { rows, contextLength } = options
    const { past, present } = kvNames(graph.layers)
    this.#past = past
    this.#present = present
    this.#rowSize = graph.kvHeads * contextLength * graph.headDim
    this.#kv = past.map(() => new Float32Array(rows * this.#rowSize))
    this.capabilities = capabilitiesOf(graph, options)
  }

  async run(step: Step): Promise<StepResult> {
    const batch = layOut(step)
    const { firstRow, numRows } = batch
    const { kvHeads, headDim, vocabSize } = this.#graph
    const dims = [numRows, kvHeads, this.capabilities.maxContext, headDim]
    const rowsOf = (kv: Float32Array) =>
      kv.subarray(firstRow * this.#rowSize, (firstRow + numRows) * this.#rowSize)
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
    return { logits: logitsOfRuns(floats(results, LOGITS), batch, vocabSize) }
  }

  async dispose(): Promise<void> {
    await this.#ort.call(() => this.#session.release())
  }
}

function floats(results: InferenceSession.ReturnType, name: string): Float32Array {
  const tensor = results[name]
  if (tensor === undefined) throw new Error(`the graph has no output ${name}`)
  return tensor.data as Float32Array // the graph's contract says float32
}

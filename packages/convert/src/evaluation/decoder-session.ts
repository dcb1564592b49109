import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DecoderGraph } from '@tabserve/protocol'
import * as ort from 'onnxruntime-web/wasm'
import type { ConvertedManifest } from '../make-model.ts'

/** A converted model on onnxruntime-web's wasm provider in Node, with its KV cache: the smallest thing that can decode. */
export class DecoderSession {
  readonly graph: DecoderGraph
  readonly #session: ort.InferenceSession
  #kv: Record<string, ort.Tensor> = {}

  private constructor(graph: DecoderGraph, session: ort.InferenceSession) {
    this.graph = graph
    this.#session = session
  }

  static async open(folder: string): Promise<DecoderSession> {
    ort.env.logLevel = 'error'
    ort.env.wasm.numThreads = 1
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as ConvertedManifest
    const { graph } = manifest
    const bytes = async (path: string): Promise<Uint8Array> =>
      new Uint8Array(await readFile(join(folder, path)))
    const externalData = [{ path: graph.externalData, data: await bytes(graph.externalData) }]
    const session = await ort.InferenceSession.create(await bytes(graph.file), { externalData })
    return new DecoderSession(graph, session)
  }

  /** Forgets everything and makes room for so many rows of so many positions. */
  reset(rows: number, capacity: number): void {
    const { layers, kvHeads, headDim } = this.graph
    const shape = [rows, kvHeads, capacity, headDim]
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        const data = new Float32Array(rows * kvHeads * capacity * headDim)
        this.#kv[`${layer}.${part}`] = new ort.Tensor('float32', data, shape)
      }
    }
  }

  /**
   * Each row reads its tokens after `past` positions; shorter rows are padded on the right. Logits of each row's last token,
   * or of the rows of the flattened batch that `logitsIndex` names.
   */
  async run(
    tokens: readonly (readonly number[])[],
    past: readonly number[],
    logitsIndex?: readonly number[],
  ): Promise<Float32Array[]> {
    const width = Math.max(...tokens.map((row) => row.length))
    const totals = tokens.map((row, index) => row.length + (past[index] ?? 0))
    const index = logitsIndex ?? tokens.map((row, row_) => row_ * width + row.length - 1)
    const ids = tokens.flatMap((row) => [...row, ...new Array<number>(width - row.length).fill(0)])
    const int32 = (values: readonly number[], dims: readonly number[]): ort.Tensor =>
      new ort.Tensor('int32', Int32Array.from(values), dims)
    const feeds: Record<string, ort.Tensor> = {
      input_ids: int32(ids, [tokens.length, width]),
      seqlens_k: int32(
        totals.map((total) => total - 1),
        [tokens.length],
      ),
      total_sequence_length: int32([Math.max(...totals)], []),
      logits_index: int32(index, [index.length]),
    }
    for (const [name, tensor] of Object.entries(this.#kv)) feeds[`past_key_values.${name}`] = tensor
    const outputs = await this.#session.run(feeds)
    for (const [name, past_] of Object.entries(this.#kv)) {
      const present = outputs[`present.${name}`]
      if (present === undefined || present.dims.join() !== past_.dims.join())
        throw new Error(`present.${name} has another shape`)
      this.#kv[name] = present
    }
    const logits = outputs['logits']?.data
    if (!(logits instanceof Float32Array)) throw new Error('the graph gave no float32 logits')
    return index.map((_, row) => logits.slice(row * this.graph.vocabSize, (row + 1) * this.graph.vocabSize))
  }

  async dispose(): Promise<void> {
    await this.#session.release()
  }
}

import { readFile } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import type { DecoderGraph, Manifest } from '@tabserve/protocol'

/** The little of onnxruntime-web that these tests use; its own types are not visible from this package. */
interface Ort {
  readonly env: { logLevel: string; readonly wasm: { numThreads: number } }
  readonly InferenceSession: { create(model: Uint8Array, options: object): Promise<OrtSession> }
  readonly Tensor: new (type: string, data: Float32Array | Int32Array, dims: readonly number[]) => OrtTensor
}
interface OrtTensor {
  readonly data: Float32Array
  readonly dims: readonly number[]
}
interface OrtSession {
  run(feeds: Readonly<Record<string, OrtTensor>>): Promise<Readonly<Record<string, OrtTensor>>>
  release(): Promise<void>
}

const fromRuntime = createRequire(join(import.meta.dirname, '../../runtime/package.json'))

/** A converted model on onnxruntime-web's wasm provider in Node, with its KV cache: the smallest thing that can decode. */
export class DecoderSession {
  readonly graph: DecoderGraph
  readonly #ort: Ort
  readonly #session: OrtSession
  #kv: Record<string, OrtTensor> = {}

  private constructor(graph: DecoderGraph, ort: Ort, session: OrtSession) {
    this.graph = graph
    this.#ort = ort
    this.#session = session
  }

  static async open(folder: string): Promise<DecoderSession> {
    const ort = fromRuntime('onnxruntime-web/wasm') as Ort
    ort.env.logLevel = 'error'
    ort.env.wasm.numThreads = 1
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
    const { graph } = manifest
    const bytes = async (path: string): Promise<Uint8Array> =>
      new Uint8Array(await readFile(join(folder, path)))
    const externalData = [{ path: graph.externalData, data: await bytes(graph.externalData) }]
    const session = await ort.InferenceSession.create(await bytes(graph.file), { externalData })
    return new DecoderSession(graph, ort, session)
  }

  /** Forgets everything and makes room for so many rows of so many positions. */
  reset(rows: number, capacity: number): void {
    const { layers, kvHeads, headDim } = this.graph
    const shape = [rows, kvHeads, capacity, headDim]
    for (let layer = 0; layer < layers; layer++) {
      for (const part of ['key', 'value']) {
        const data = new Float32Array(rows * kvHeads * capacity * headDim)
        this.#kv[`${layer}.${part}`] = new this.#ort.Tensor('float32', data, shape)
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
    const int32 = (values: readonly number[], dims: readonly number[]): OrtTensor =>
      new this.#ort.Tensor('int32', Int32Array.from(values), dims)
    const feeds: Record<string, OrtTensor> = {
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
    const logits = outputs['logits']?.data ?? new Float32Array()
    return index.map((_, row) => logits.slice(row * this.graph.vocabSize, (row + 1) * this.graph.vocabSize))
  }

  async dispose(): Promise<void> {
    await this.#session.release()
  }
}

export function argmax(logits: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i
  return best
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < a.length; i++)
    largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)))
  return largest
}

/** ‖a − b‖ / ‖b − mean(b)‖: logits have no zero of their own. */
export function relativeRmse(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = Array.from(b).reduce((sum, value) => sum + value, 0) / b.length
  let error = 0
  let size = 0
  for (let i = 0; i < b.length; i++) {
    error += ((a[i] as number) - (b[i] as number)) ** 2
    size += ((b[i] as number) - mean) ** 2
  }
  return Math.sqrt(error / size)
}

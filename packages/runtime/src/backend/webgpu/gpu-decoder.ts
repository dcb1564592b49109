import type { KvCopy, Logits } from '@tabserve/engine'
import type { DecoderGraph, GpuPlacement } from '@tabserve/protocol'
import type { Batch } from '../decoder-io.ts'
import { INPUT, LOGITS, checkNames, kvNames } from '../decoder-io.ts'
import { KV_BYTES, kvShapeOf } from '../kv-layout.ts'
import { scoped } from './error-scopes.ts'
import type { GpuLoad, GpuMode, GpuStep, GpuTraffic } from './gpu-messages.ts'
import type { GpuOrt } from './gpu-ort.ts'
import { InferenceSession, Tensor } from './gpu-ort.ts'
import { KvPool } from './kv-pool.ts'
import { LogitsReader } from './logits-reader.ts'
import { watchPlacement } from './node-placement.ts'
import type { Placement } from './row-places.ts'
import { RowPlaces } from './row-places.ts'

/** A decoder on the GPU: the session, its KV cache, and what of its logits comes back. */
export class GpuDecoder {
  readonly placement: GpuPlacement
  readonly #ort: GpuOrt
  readonly #session: InferenceSession
  readonly #device: GPUDevice
  readonly #graph: DecoderGraph
  readonly #mode: GpuMode
  readonly #kvType: GpuLoad['kvType']
  readonly #names: ReturnType<typeof kvNames>
  readonly #places: RowPlaces
  readonly #pool: KvPool
  readonly #logits: LogitsReader
  #sentBytes = 0
  #presentBytes = 0

  /** Rejects where the graph is refused, or the device has no room. */
  static async create(ort: GpuOrt, load: GpuLoad): Promise<GpuDecoder> {
    const { graph, files, room } = load
    const { session, placement } = await watchPlacement((logging) =>
      ort.call(() =>
        InferenceSession.create(files.graph, {
          ...logging,
          executionProviders: [{ name: 'webgpu' }],
          graphOptimizationLevel: 'all',
          externalData: [{ path: graph.externalData, data: files.externalData }],
          preferredOutputLocation: 'gpu-buffer',
        }),
      ),
    )
    checkNames(graph, session.inputNames, session.outputNames)
    const device = await ort.device()
    return ort.call(() =>
      scoped(device, async () => new GpuDecoder(ort, session, device, load, placement, room.rows)),
    )
  }

  private constructor(
    ort: GpuOrt,
    session: InferenceSession,
    device: GPUDevice,
    { graph, room, mode, kvType }: GpuLoad,
    placement: GpuPlacement,
    rows: number,
  ) {
    this.#ort = ort
    this.#session = session
    this.#device = device
    this.#graph = graph
    this.#mode = mode
    this.placement = placement
    this.#names = kvNames(graph.layers)
    this.#places = new RowPlaces(rows)
    this.#kvType = kvType
    const shape = kvShapeOf(graph, rows, room.contextLength)
    this.#pool = new KvPool(device, shape, kvType, this.#names.past.length)
    this.#logits = new LogitsReader(device, graph.vocabSize)
  }

  get device(): GPUDevice {
    return this.#device
  }

  get traffic(): GpuTraffic {
    const { readBytes } = this.#logits
    const copiedBytes = this.#pool.copiedBytes + this.#presentBytes
    return { sentBytes: this.#sentBytes, readBytes, copiedBytes }
  }

  copy(copies: readonly KvCopy[]): Promise<void> {
    return this.#guarded(async () => {
      for (const { from, to, numTokens, swap } of copies) {
        if (swap) this.#places.swap(from, to)
        else this.#pool.move([this.#places.copy(from, to, numTokens)])
      }
    })
  }

  readKv(row: number, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    return this.#guarded(() => this.#pool.read(this.#places.placeOf(row), numTokens))
  }

  writeKv(row: number, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    return this.#guarded(async () => this.#pool.write(this.#places.overwrite(row), numTokens, bytes))
  }

  run({ batch, tops }: GpuStep): Promise<readonly Logits[]> {
    return this.#guarded(async () => {
      const lengths = [...batch.seqlens].map((last) => last + 1)
      const placement = this.#places.place(batch.firstRow, lengths, batch.width)
      this.#pool.move(placement.before)
      const placed = inPlace(batch, placement.indices)
      const logits = this.#logits.reserve(placed.logitsIndex.length)
      const presents = await this.#compute(placed, placement, logits)
      if (presents.length > 0) this.#pool.replace(placement.where, batch.numRows, presents)
      this.#pool.move(placement.after)
      const wanted = this.#mode.reduce ? tops : tops.map(() => 0)
      return this.#logits.take(batch.logitsPerRun, wanted)
    })
  }

  /** Returns the new KV buffers, where there are any. */
  async #compute(batch: Batch, { where }: Placement, logits: GPUBuffer): Promise<readonly Tensor[]> {
    const { ids, seqlens, totalLength, logitsIndex, numRows, width } = batch
    const feeds: Record<string, Tensor> = {
      [INPUT.ids]: new Tensor('int32', ids, [numRows, width]),
      [INPUT.seqlens]: new Tensor('int32', seqlens, [numRows]),
      [INPUT.total]: new Tensor('int32', Int32Array.of(totalLength), []),
      [INPUT.logitsIndex]: new Tensor('int32', logitsIndex, [logitsIndex.length]),
    }
    this.#sentBytes += 4 * (ids.length + seqlens.length + 1 + logitsIndex.length)
    const dims = [logitsIndex.length, this.#graph.vocabSize]
    const fetches: Record<string, Tensor | null> = {
      [LOGITS]: Tensor.fromGpuBuffer(logits as never, { dataType: 'float32', dims }),
    }
    const { past, present } = this.#names
    const kv = this.#pool.tensors(where, numRows)
    past.forEach((name, cache) => (feeds[name] = kv[cache]!))
    present.forEach((name, cache) => (fetches[name] = this.#mode.inPlace ? kv[cache]! : null))
    const results = await this.#session.run(feeds, fetches)
    if (this.#mode.inPlace) return []
    const presents = present.map((name) => results[name]!)
    this.#presentBytes += presents.reduce((sum, { size }) => sum + KV_BYTES[this.#kvType] * size, 0)
    return presents
  }

  #guarded<T>(work: () => Promise<T>): Promise<T> {
    return this.#ort.call(() => scoped(this.#device, work))
  }
}

/** The rows of a batch in the order in which they lie on the GPU. Logits stay in the order of the runs. */
function inPlace(batch: Batch, indices: readonly number[]): Batch {
  const { width } = batch
  const ids = new Int32Array(batch.ids.length)
  const seqlens = new Int32Array(batch.seqlens.length)
  indices.forEach((place, row) => {
    ids.set(batch.ids.subarray(row * width, (row + 1) * width), place * width)
    seqlens[place] = batch.seqlens[row]!
  })
  const logitsIndex = batch.logitsIndex.map((at) => indices[Math.floor(at / width)]! * width + (at % width))
  return { ...batch, ids, seqlens, logitsIndex }
}

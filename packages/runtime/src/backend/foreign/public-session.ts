import type { KvCopy } from '@tabserve/engine'
import type { KvElements, KvShape } from '../kv-layout.ts'
import { KV_BYTES, capacityFor, copyRows, kvShapeOf, moveRows, rowSizeOf } from '../kv-layout.ts'
import type { PublicOrt } from '../public-ort.ts'
import { InferenceSession, Tensor } from '../public-ort.ts'
import { readRow, rowKvLayout, writeRow } from '../row-bytes.ts'
import type { RowRoom } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import type { ForeignBatch } from './foreign-batch.ts'
import type { ForeignFiles, ForeignSession } from './foreign-session.ts'
import { appendNew, gatherPast } from './growing-rows.ts'
import type { NumberFeed } from './number-feeds.ts'
import { numberFeeds } from './number-feeds.ts'

/**
 * A foreign graph through onnxruntime-web's public API, which copies every past into the heap and every present out. A cache of fixed capacity
 * goes in as it lies; of one that grows, a past is gathered and only what is new is taken back.
 */
export class PublicForeignSession implements ForeignSession {
  readonly #ort: PublicOrt
  readonly #session: InferenceSession
  readonly #form: DecoderForm
  readonly #room: RowRoom
  #shape: KvShape
  /** One a cache, in the form's order. */
  #kv: KvElements[]

  static async create(
    ort: PublicOrt,
    files: ForeignFiles,
    form: DecoderForm,
    room: RowRoom,
  ): Promise<PublicForeignSession> {
    const session = await ort.call(() =>
      InferenceSession.create(files.graph, {
        executionProviders: ['wasm'],
        graphOptimizationLevel: 'all',
        externalData: [...files.externalData].map(([path, data]) => ({ path, data })),
      }),
    )
    return new PublicForeignSession(ort, session, form, room)
  }

  private constructor(ort: PublicOrt, session: InferenceSession, form: DecoderForm, room: RowRoom) {
    this.#ort = ort
    this.#session = session
    this.#form = form
    this.#room = room
    this.#shape = kvShapeOf(form, room.rows, capacityFor(1, room.contextLength))
    this.#kv = form.past.map(() => this.#zeros(room.rows * rowSizeOf(this.#shape)))
  }

  get kvBytes(): number {
    return KV_BYTES[this.#form.dtype] * this.#kv.length * this.#shape.rows * rowSizeOf(this.#shape)
  }

  reserve(length: number): void {
    if (length <= this.#shape.capacity) return
    const larger = kvShapeOf(this.#form, this.#room.rows, capacityFor(length, this.#room.contextLength))
    this.#kv = this.#kv.map((kv) => {
      const roomier = this.#zeros(larger.rows * rowSizeOf(larger))
      moveRows(kv, this.#shape, roomier, larger.capacity)
      return roomier
    })
    this.#shape = larger
  }

  async run(batch: ForeignBatch): Promise<KvElements> {
    const { logits, present } = this.#form
    const feeds = Object.fromEntries([
      ...numberFeeds(this.#form, batch).map((feed) => [feed.name, numberTensor(feed)] as const),
      ...this.#pasts(batch),
    ])
    const wanted = batch.logitsPerRun.some((count) => count > 0) ? [logits.name, ...present] : present
    const results = await this.#ort.call(() => this.#session.run(feeds, wanted))
    this.#keep(batch, (name) => elementsOf(results, name, this.#presentDims(batch)))
    if (wanted === present) return new Float32Array()
    return elementsOf(results, logits.name, [batch.numRows, batch.logitsWidth, this.#form.vocabSize])
  }

  copyKv(copies: readonly KvCopy[]): void {
    for (const kv of this.#kv) copyRows(kv, this.#shape, copies)
  }

  get kvLayout(): string {
    return rowKvLayout(this.#kv.length, this.#shape, this.#form.dtype)
  }

  readKv(row: number, numTokens: number): Uint8Array<ArrayBuffer> {
    return readRow(this.#kv, this.#shape, row, numTokens)
  }

  writeKv(row: number, numTokens: number, bytes: Uint8Array): void {
    this.reserve(numTokens)
    writeRow(this.#kv, this.#shape, row, numTokens, bytes)
  }

  async dispose(): Promise<void> {
    await this.#ort.call(() => this.#session.release())
  }

  #pasts(batch: ForeignBatch): (readonly [name: string, tensor: Tensor])[] {
    const { form, past, dtype } = this.#form
    const { numRows } = batch
    const { heads, size, capacity } = this.#shape
    const dims = [numRows, heads, form === 'gqa' ? capacity : batch.past, size]
    return this.#kv.map((kv, index) => {
      const values = form === 'gqa' ? this.#rowsOf(kv, batch) : this.#gathered(kv, batch)
      return [past[index] ?? '', new Tensor(dtype, values, dims)]
    })
  }

  #gathered(kv: KvElements, batch: ForeignBatch): KvElements {
    const { heads, size } = this.#shape
    const past = this.#zeros(batch.numRows * heads * batch.past * size)
    gatherPast(kv, this.#shape, batch, past)
    return past
  }

  #presentDims({ numRows, past, width }: ForeignBatch): readonly number[] {
    const { heads, size, capacity } = this.#shape
    return [numRows, heads, this.#form.form === 'gqa' ? capacity : past + width, size]
  }

  #keep(batch: ForeignBatch, presentOf: (name: string) => KvElements): void {
    const presents = this.#form.present.map(presentOf)
    // The whole pool came back: it is the next past as it is, without another copy.
    if (this.#form.form === 'gqa' && batch.numRows === this.#room.rows) {
      this.#kv = presents
      return
    }
    this.#kv.forEach((kv, index) => {
      const present = presents[index] ?? kv
      if (this.#form.form === 'gqa') this.#rowsOf(kv, batch).set(present)
      else appendNew(kv, this.#shape, batch, present, batch.width)
    })
  }

  #rowsOf(kv: KvElements, { firstRow, numRows }: ForeignBatch): KvElements {
    const rowSize = rowSizeOf(this.#shape)
    return kv.subarray(firstRow * rowSize, (firstRow + numRows) * rowSize)
  }

  #zeros(length: number): KvElements {
    return this.#form.dtype === 'float32' ? new Float32Array(length) : new Uint16Array(length)
  }
}

function numberTensor({ type, values, dims }: NumberFeed): Tensor {
  if (type === 'int32') return new Tensor('int32', values, dims)
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims)
}

/** A result's bits. Throws where it has another shape than the form says. */
function elementsOf(results: InferenceSession.ReturnType, name: string, dims: readonly number[]): KvElements {
  const tensor = results[name]
  if (tensor === undefined) throw new Error(`the graph has no output ${name}`)
  if (tensor.dims.join() !== dims.join())
    throw new Error(`${name} came as [${tensor.dims.join(', ')}], not as [${dims.join(', ')}]`)
  const { data } = tensor
  if (data instanceof Float32Array) return data
  // An array of halves, where the browser has one, or of their bits.
  const { buffer, byteOffset, length } = data as Uint16Array<ArrayBuffer>
  return new Uint16Array(buffer, byteOffset, length)
}

import type { KvCopy } from '@tabserve/engine'
import { HeapKv } from '../heap-kv.ts'
import type { TensorHandle } from '../heap-session.ts'
import { ELEMENT, HeapSession, heapTensor } from '../heap-session.ts'
import type { KvElements } from '../kv-layout.ts'
import { KV_BYTES } from '../kv-layout.ts'
import type { OrtModule } from '../ort-module.ts'
import type { RowRoom } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import type { ForeignBatch } from './foreign-batch.ts'
import type { ForeignFiles, ForeignSession } from './foreign-session.ts'
import { HeapRoom } from './heap-room.ts'
import type { NumberFeed } from './number-feeds.ts'
import { numberFeeds } from './number-feeds.ts'

/**
 * A foreign graph with GroupQueryAttention whose cache lies in the wasm heap: the same memory is past and present, so a step copies none of it.
 */
export class HeapForeignSession implements ForeignSession {
  readonly #module: OrtModule
  readonly #session: HeapSession
  readonly #form: DecoderForm
  readonly #kv: HeapKv
  readonly #numbers: HeapRoom
  readonly #logits: HeapRoom

  static async create(
    module: OrtModule,
    files: ForeignFiles,
    form: DecoderForm,
    room: RowRoom,
  ): Promise<HeapForeignSession> {
    const session = await HeapSession.create(module, files.graph, files.externalData)
    try {
      return new HeapForeignSession(module, session, form, room)
    } catch (error) {
      session.dispose()
      throw error
    }
  }

  private constructor(module: OrtModule, session: HeapSession, form: DecoderForm, room: RowRoom) {
    this.#module = module
    this.#session = session
    this.#form = form
    this.#kv = new HeapKv(module, form, room)
    this.#numbers = new HeapRoom(module)
    this.#logits = new HeapRoom(module)
  }

  get kvBytes(): number {
    return this.#kv.bytes
  }

  reserve(length: number): void {
    this.#kv.reserve(length)
  }

  async run(batch: ForeignBatch): Promise<KvElements> {
    const { logits, vocabSize } = this.#form
    const dims = [batch.numRows, batch.logitsWidth, vocabSize]
    const numLogits = batch.numRows * batch.logitsWidth * vocabSize
    const owned = this.#bindNumbers(numberFeeds(this.#form, batch))
    try {
      const bytes = KV_BYTES[logits.dtype] * numLogits
      const memory = this.#logits.reserve(bytes)
      owned.set(logits.name, heapTensor(this.#module, ELEMENT[logits.dtype], memory, bytes, dims))
      const tensorOf = (name: string) => owned.get(name) ?? this.#kv.tensor(name, batch)
      await this.#session.run(this.#session.inputNames.map(tensorOf), this.#session.outputNames.map(tensorOf))
      const { buffer } = this.#module.HEAPU8
      return logits.dtype === 'float32'
        ? new Float32Array(buffer, memory, numLogits)
        : new Uint16Array(buffer, memory, numLogits)
    } finally {
      for (const tensor of owned.values()) this.#module._OrtReleaseTensor(tensor)
    }
  }

  copyKv(copies: readonly KvCopy[]): void {
    this.#kv.copy(copies)
  }

  get kvLayout(): string {
    return this.#kv.layout
  }

  readKv(row: number, numTokens: number): Uint8Array<ArrayBuffer> {
    return this.#kv.read(row, numTokens)
  }

  writeKv(row: number, numTokens: number, bytes: Uint8Array): void {
    this.#kv.write(row, numTokens, bytes)
  }

  async dispose(): Promise<void> {
    this.#kv.dispose()
    this.#numbers.dispose()
    this.#logits.dispose()
    this.#session.dispose()
  }

  #bindNumbers(feeds: readonly NumberFeed[]): Map<string, TensorHandle> {
    const module = this.#module
    const tensors = new Map<string, TensorHandle>()
    let at = this.#numbers.reserve(feeds.reduce((sum, feed) => sum + bytesOf(feed), 0))
    for (const feed of feeds) {
      const { name, type, values, dims } = feed
      if (type === 'int32') module.HEAP32.set(values, at >> 2)
      else writeInt64(module.HEAP32, values, at >> 2)
      tensors.set(name, heapTensor(module, ELEMENT[type], at, NUMBER_BYTES[type] * values.length, dims))
      at += bytesOf(feed)
    }
    return tensors
  }
}

const NUMBER_BYTES = { int32: 4, int64: 8 } as const

/** With what the next one needs to begin at a multiple of 8. */
function bytesOf({ type, values }: NumberFeed): number {
  return Math.ceil((NUMBER_BYTES[type] * values.length) / 8) * 8
}

/** None is below zero, so the upper halves are zero. */
function writeInt64(heap: Int32Array, values: Int32Array, at: number): void {
  heap.fill(0, at, at + 2 * values.length)
  for (const [index, value] of values.entries()) heap[at + 2 * index] = value
}

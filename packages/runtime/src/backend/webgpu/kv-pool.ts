import type { KvShape } from '../kv-layout.ts'
import { KV_BYTES, rowSizeOf } from '../kv-layout.ts'
import { USAGE } from './gpu-flags.ts'
import { Tensor } from './gpu-ort.ts'
import { ReadBack } from './read-back.ts'
import type { RowMove } from './row-places.ts'

const KV_USAGE = USAGE.storage | USAGE.copySource | USAGE.copyTarget

/**
 * The KV cache on the GPU: one buffer a K or V of a layer, allocated once, of which the first rows are bound as past and present, and a
 * scratch row for each beside it.
 */
export class KvPool {
  readonly #device: GPUDevice
  readonly #shape: KvShape
  readonly #dtype: keyof typeof KV_BYTES
  readonly #pool: GPUBuffer[]
  readonly #scratch: readonly GPUBuffer[]
  /** Two rows: within one buffer nothing can be copied. */
  readonly #staging: GPUBuffer
  /** Tensors over the first rows, by how many. */
  readonly #tensors = new Map<number, readonly Tensor[]>()
  readonly #scratchTensors: readonly Tensor[]
  copiedBytes = 0

  /** @param numCaches K and V of every layer. */
  constructor(device: GPUDevice, shape: KvShape, dtype: keyof typeof KV_BYTES, numCaches: number) {
    this.#device = device
    this.#shape = shape
    this.#dtype = dtype
    const buffers = (rows: number) =>
      Array.from({ length: numCaches }, () =>
        device.createBuffer({ size: rows * this.#rowBytes, usage: KV_USAGE }),
      )
    this.#pool = buffers(shape.rows)
    // With one row every step is at the front.
    this.#scratch = shape.rows > 1 ? buffers(1) : []
    this.#staging = device.createBuffer({ size: 2 * this.#rowBytes, usage: KV_USAGE })
    this.#scratchTensors = this.#scratch.map((buffer) => this.#tensor(buffer, 1))
  }

  /** One a cache: tensors over the first `rows` rows of the pool, or over the scratch row. */
  tensors(where: 'front' | 'scratch', rows: number): readonly Tensor[] {
    if (where === 'scratch') return this.#scratchTensors
    const known = this.#tensors.get(rows)
    if (known !== undefined) return known
    const made = this.#pool.map((buffer) => this.#tensor(buffer, rows))
    this.#tensors.set(rows, made)
    return made
  }

  /** Carries out moves in order, in one submission. */
  move(moves: readonly RowMove[]): void {
    if (moves.length === 0) return
    const encoder = this.#device.createCommandEncoder()
    for (const move of moves)
      this.#pool.forEach((pool, cache) => this.#encode(encoder, pool, this.#scratch[cache], move))
    this.#device.queue.submit([encoder.finish()])
  }

  /** Takes the buffers that a step has made in place of the first rows; for steps that do not compute in place. */
  replace(where: 'front' | 'scratch', rows: number, presents: readonly Tensor[]): void {
    const encoder = this.#device.createCommandEncoder()
    const targets = where === 'scratch' ? this.#scratch : this.#pool
    presents.forEach((present, cache) =>
      this.#copy(encoder, present.gpuBuffer as GPUBuffer, 0, targets[cache]!, 0, rows * this.#rowBytes),
    )
    this.#device.queue.submit([encoder.finish()])
    for (const present of presents) present.dispose()
  }

  /** Bytes of a row's first positions, as `rowKvLayout` says. */
  async read(row: number, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    const readBack = new ReadBack(this.#device)
    try {
      const pieces = this.#pool.flatMap((buffer) =>
        this.#headsOf(row).map((offset) => ({ buffer, offset, bytes: this.#headBytes(numTokens) })),
      )
      return new Uint8Array(await readBack.take(this.#device.createCommandEncoder(), pieces))
    } finally {
      readBack.dispose()
    }
  }

  write(row: number, numTokens: number, bytes: Uint8Array<ArrayBuffer>): void {
    const length = this.#headBytes(numTokens)
    let at = 0
    for (const buffer of this.#pool)
      for (const offset of this.#headsOf(row)) {
        this.#device.queue.writeBuffer(buffer, offset, bytes, at, length)
        at += length
      }
  }

  /** Where each head of a row begins. */
  #headsOf(row: number): readonly number[] {
    const { heads, capacity } = this.#shape
    return Array.from({ length: heads }, (_, head) => this.#headBytes((row * heads + head) * capacity))
  }

  #headBytes(numTokens: number): number {
    return this.#positionBytes * numTokens
  }

  #encode(encoder: GPUCommandEncoder, pool: GPUBuffer, scratch: GPUBuffer | undefined, move: RowMove): void {
    const bytes = this.#rowBytes
    const staging = this.#staging
    if (move.type === 'swap') {
      const [left, right] = [move.left * bytes, move.right * bytes]
      this.#copy(encoder, pool, left, staging, 0, bytes)
      this.#copy(encoder, pool, right, staging, bytes, bytes)
      this.#copy(encoder, staging, 0, pool, right, bytes)
      this.#copy(encoder, staging, bytes, pool, left, bytes)
      return
    }
    if (move.type === 'copy') {
      this.#copyHeads(encoder, pool, move.from, staging, 0, 0, move.end)
      this.#copyHeads(encoder, staging, 0, pool, move.to, 0, move.end)
      return
    }
    if (scratch === undefined) throw new Error('a pool of one row has no scratch row')
    const { row, begin, end } = move
    if (move.type === 'load') this.#copyHeads(encoder, pool, row, scratch, 0, begin, end)
    else this.#copyHeads(encoder, scratch, 0, pool, row, begin, end)
  }

  /** Positions [begin, end) of every head of a row. */
  #copyHeads(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    sourceRow: number,
    target: GPUBuffer,
    targetRow: number,
    begin: number,
    end: number,
  ): void {
    const { heads, capacity } = this.#shape
    const at = (row: number, head: number) => this.#headBytes((row * heads + head) * capacity + begin)
    const length = this.#headBytes(end - begin)
    for (let head = 0; head < heads; head++)
      this.#copy(encoder, source, at(sourceRow, head), target, at(targetRow, head), length)
  }

  #copy(
    encoder: GPUCommandEncoder,
    source: GPUBuffer,
    from: number,
    target: GPUBuffer,
    to: number,
    bytes: number,
  ): void {
    encoder.copyBufferToBuffer(source, from, target, to, bytes)
    this.copiedBytes += bytes
  }

  #tensor(buffer: GPUBuffer, rows: number): Tensor {
    const { heads, capacity, size } = this.#shape
    return Tensor.fromGpuBuffer(buffer as never, {
      dataType: this.#dtype,
      dims: [rows, heads, capacity, size],
    })
  }

  get #rowBytes(): number {
    return KV_BYTES[this.#dtype] * rowSizeOf(this.#shape)
  }

  /** Of one position of one head: a multiple of 4, as copies want it, for heads are. */
  get #positionBytes(): number {
    return KV_BYTES[this.#dtype] * this.#shape.size
  }
}

import { MAP_READ, USAGE } from './gpu-flags.ts'

/** A piece of a GPU buffer. */
export interface Piece {
  readonly buffer: GPUBuffer
  readonly offset: number
  readonly bytes: number
}

/** Brings bytes back from the GPU through one buffer that grows. */
export class ReadBack {
  readonly #device: GPUDevice
  #buffer: GPUBuffer | undefined
  readBytes = 0

  constructor(device: GPUDevice) {
    this.#device = device
  }

  /** Encodes the copies behind what `encoder` does already, submits it, and gives the pieces one after another, in memory of their own. */
  async take(encoder: GPUCommandEncoder, pieces: readonly Piece[]): Promise<ArrayBuffer> {
    const total = pieces.reduce((sum, { bytes }) => sum + bytes, 0)
    const target = this.#reserve(total)
    let at = 0
    for (const { buffer, offset, bytes } of pieces) {
      encoder.copyBufferToBuffer(buffer, offset, target, at, bytes)
      at += bytes
    }
    this.#device.queue.submit([encoder.finish()])
    await target.mapAsync(MAP_READ, 0, total)
    const found = target.getMappedRange(0, total).slice()
    target.unmap()
    this.readBytes += total
    return found
  }

  dispose(): void {
    this.#buffer?.destroy()
    this.#buffer = undefined
  }

  #reserve(bytes: number): GPUBuffer {
    if (this.#buffer !== undefined && this.#buffer.size >= bytes) return this.#buffer
    this.#buffer?.destroy()
    const usage = USAGE.mapRead | USAGE.copyTarget
    this.#buffer = this.#device.createBuffer({ size: bytes, usage })
    return this.#buffer
  }
}

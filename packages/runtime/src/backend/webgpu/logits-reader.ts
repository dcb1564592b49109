import type { Logits } from '@tabserve/engine'
import { USAGE } from './gpu-flags.ts'
import type { Piece } from './read-back.ts'
import { ReadBack } from './read-back.ts'
import { TopLogits, topBytes } from './top-logits.ts'

const FLOAT_BYTES = 4

/** The logits of a step on the GPU, and as much of them as somebody needs on the CPU. */
export class LogitsReader {
  readonly #device: GPUDevice
  readonly #vocabSize: number
  readonly #top: TopLogits
  readonly #readBack: ReadBack
  #logits: GPUBuffer | undefined

  constructor(device: GPUDevice, vocabSize: number) {
    this.#device = device
    this.#vocabSize = vocabSize
    this.#top = new TopLogits(device, vocabSize)
    this.#readBack = new ReadBack(device)
  }

  get readBytes(): number {
    return this.#readBack.readBytes
  }

  /** A buffer for the logits of `rows` positions, float32 [rows, vocabSize]; kept from step to step. */
  reserve(rows: number): GPUBuffer {
    const size = rows * this.#rowBytes
    if (this.#logits !== undefined && this.#logits.size >= size) return this.#logits
    this.#logits?.destroy()
    const usage = USAGE.storage | USAGE.copySource | USAGE.copyTarget
    this.#logits = this.#device.createBuffer({ size, usage })
    return this.#logits
  }

  /** What each run asked for: `counts` rows of it, of each the `tops` largest or, where that is 0, all. */
  async take(counts: readonly number[], tops: readonly number[]): Promise<readonly Logits[]> {
    const rows = counts.reduce((sum, count) => sum + count, 0)
    if (rows === 0) {
      await this.#device.queue.onSubmittedWorkDone() // so that a step takes as long as it takes
      return counts.map(() => ({ values: new Float32Array(), tokens: undefined }))
    }
    const encoder = this.#device.createCommandEncoder()
    const { pieces, width } = this.#pieces(encoder, rows, counts, tops)
    const bytes = await this.#readBack.take(encoder, pieces)
    let at = 0
    return counts.map((count, run) => {
      const top = Math.min(tops[run] ?? 0, width)
      const begin = at
      if (top > 0) {
        at += topBytes(count, width)
        return largest(bytes.slice(begin, at), count, width, top)
      }
      at += count * this.#rowBytes
      return { values: new Float32Array(bytes, begin, count * this.#vocabSize), tokens: undefined }
    })
  }

  /** What to read for each run, one behind the other. The search gives the same number of logits for every row: `width`. */
  #pieces(
    encoder: GPUCommandEncoder,
    rows: number,
    counts: readonly number[],
    tops: readonly number[],
  ): { pieces: Piece[]; width: number } {
    const asked = tops.filter((_, run) => (counts[run] ?? 0) > 0)
    const width = Math.min(this.#vocabSize, Math.max(0, ...asked))
    const logits = this.reserve(rows)
    const found = width > 0 ? this.#top.encode(encoder, logits, rows, width) : logits
    const pieces: Piece[] = []
    let row = 0
    counts.forEach((count, run) => {
      const of = (tops[run] ?? 0) > 0 ? topBytes(1, width) : this.#rowBytes
      const buffer = (tops[run] ?? 0) > 0 ? found : logits
      if (count > 0) pieces.push({ buffer, offset: row * of, bytes: count * of })
      row += count
    })
    return { pieces, width }
  }

  get #rowBytes(): number {
    return FLOAT_BYTES * this.#vocabSize
  }
}

/** The best `top` of each row's `width` pairs, which come best first, in ascending order of id. */
function largest(pairs: ArrayBuffer, count: number, width: number, top: number): Logits {
  const found = new Float32Array(pairs)
  const ids = new Int32Array(pairs)
  const values = new Float32Array(count * top)
  const tokens = new Int32Array(count * top)
  for (let row = 0; row < count; row++) {
    const order = Array.from({ length: top }, (_, rank) => row * width + rank)
    order.sort((left, right) => ids[2 * left + 1]! - ids[2 * right + 1]!)
    order.forEach((pair, at) => {
      values[row * top + at] = found[2 * pair]!
      tokens[row * top + at] = ids[2 * pair + 1]!
    })
  }
  return { values, tokens }
}

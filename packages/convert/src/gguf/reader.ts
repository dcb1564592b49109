import { ConvertError } from '../convert-error.ts'
import type { ByteSource } from '../checkpoint/byte-source.ts'

export type GgufValue = number | boolean | string | readonly GgufValue[]

/** Takes little-endian values off a GGUF file, one after the other, through a window of a few megabytes. */
export class GgufReader {
  readonly #source: ByteSource
  #window = new DataView(new ArrayBuffer(0))
  #windowBegin = 0
  #offset = 0

  constructor(source: ByteSource) {
    this.#source = source
  }

  get offset(): number {
    return this.#offset
  }

  uint32(): number {
    return this.#take(4).getUint32(0, true)
  }

  /** A count or an offset. Larger ones than a file can hold are refused here. */
  uint64(): number {
    const value = this.#take(8).getBigUint64(0, true)
    if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw this.damaged(`it has a number as large as ${value}`)
    return Number(value)
  }

  string(): string {
    const length = this.uint64()
    if (length > LONGEST_STRING) throw this.damaged(`it has a text of ${length} bytes`)
    const bytes = this.#take(length)
    // Token texts may be cut in the middle of a character, so wrong bytes are no reason to refuse a file.
    return new TextDecoder().decode(new Uint8Array(bytes.buffer, bytes.byteOffset, length))
  }

  /** A metadata value of one of GGUF's thirteen types. */
  value(type: number, depth = 0): GgufValue {
    if (type === 8) return this.string()
    if (type === 9) return this.#array(depth)
    const scalar = SCALARS[type]
    if (scalar === undefined) throw this.damaged(`it has a value of unknown type ${type}`)
    return scalar.read(this.#take(scalar.bytes))
  }

  damaged(reason: string): ConvertError {
    const message = `${this.#source.name} cannot be read as GGUF: ${reason}`
    return new ConvertError(message, { kind: 'damaged', file: this.#source.name })
  }

  #array(depth: number): GgufValue {
    const type = this.uint32()
    const count = this.uint64()
    // Every element takes at least a byte: no list is longer than what is left of the file. The longest in use are merges.
    if (count > Math.min(LONGEST_LIST, this.#source.bytes - this.#offset) || depth > 1)
      throw this.damaged(`it has a list of ${count} values`)
    const values: GgufValue[] = []
    for (let i = 0; i < count; i++) values.push(this.value(type, depth + 1))
    return values
  }

  #take(length: number): DataView {
    const at = this.#offset
    if (at + length > this.#source.bytes) throw this.damaged(`it is cut off at ${this.#source.bytes} bytes`)
    if (at < this.#windowBegin || at + length > this.#windowBegin + this.#window.byteLength) {
      const size = Math.min(this.#source.bytes - at, Math.max(length, WINDOW))
      this.#window = new DataView(this.#source.read(at, size).buffer)
      this.#windowBegin = at
    }
    this.#offset = at + length
    return new DataView(this.#window.buffer, at - this.#windowBegin, length)
  }
}

const WINDOW = 1 << 20
const LONGEST_STRING = 1 << 24
const LONGEST_LIST = 1 << 22

/** By GGUF's number of the type; 8 is text and 9 a list. 64-bit numbers are rounded to what a float64 holds. */
const SCALARS: Readonly<
  Record<number, { readonly bytes: number; readonly read: (view: DataView) => number | boolean }>
> = {
  0: { bytes: 1, read: (view) => view.getUint8(0) },
  1: { bytes: 1, read: (view) => view.getInt8(0) },
  2: { bytes: 2, read: (view) => view.getUint16(0, true) },
  3: { bytes: 2, read: (view) => view.getInt16(0, true) },
  4: { bytes: 4, read: (view) => view.getUint32(0, true) },
  5: { bytes: 4, read: (view) => view.getInt32(0, true) },
  6: { bytes: 4, read: (view) => view.getFloat32(0, true) },
  7: { bytes: 1, read: (view) => view.getUint8(0) !== 0 },
  10: { bytes: 8, read: (view) => Number(view.getBigUint64(0, true)) },
  11: { bytes: 8, read: (view) => Number(view.getBigInt64(0, true)) },
  12: { bytes: 8, read: (view) => view.getFloat64(0, true) },
}

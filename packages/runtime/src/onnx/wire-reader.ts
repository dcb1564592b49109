/** What to do with a field, by its number; it must take the value. */
export type FieldReaders = Readonly<Record<number, () => void>>

/** The kinds of values that protobuf's wire format knows (protobuf.dev/programming-guides/encoding). */
const WIRE = { varint: 0, fixed64: 1, bytes: 2, fixed32: 5 } as const

/**
 * Reads a protobuf message where it lies: nothing is copied but what is asked for, and no byte is read twice. Throws a plain `Error` on bytes
 * that are no message, however they lie about their lengths.
 */
export class WireReader {
  readonly #bytes: Uint8Array
  readonly #end: number
  #position: number
  /** The kind of the field that is being read. */
  #wire = 0

  constructor(bytes: Uint8Array, begin = 0, end = bytes.length) {
    this.#bytes = bytes
    this.#position = begin
    this.#end = end
  }

  /** Reads to the end; fields that have no reader are skipped. */
  readFields(readers: FieldReaders): void {
    while (this.#position < this.#end) {
      const key = this.#readVarint()
      this.#wire = key % 8
      const read = readers[Math.trunc(key / 8)]
      if (read === undefined) this.#skip()
      else read()
    }
  }

  /** A whole number, as int64 has it; rounded beyond ±2⁵³. */
  varint(): number {
    this.#expect(WIRE.varint)
    return this.#readVarint()
  }

  text(): string {
    const [begin, end] = this.#span()
    if (end - begin > MAX_TEXT_BYTES) throw new Error(`a text of ${end - begin} bytes`)
    return UTF8.decode(this.#bytes.subarray(begin, end))
  }

  message(): WireReader {
    const [begin, end] = this.#span()
    return new WireReader(this.#bytes, begin, end)
  }

  #skip(): void {
    if (this.#wire === WIRE.varint) this.#readVarint()
    else if (this.#wire === WIRE.bytes) this.#span()
    else if (this.#wire === WIRE.fixed64) this.#advance(8)
    else if (this.#wire === WIRE.fixed32) this.#advance(4)
    else throw new Error(`a field of the unknown kind ${this.#wire}`)
  }

  #span(): readonly [begin: number, end: number] {
    this.#expect(WIRE.bytes)
    const length = this.#readVarint()
    const begin = this.#position
    this.#advance(length)
    return [begin, this.#position]
  }

  #advance(length: number): void {
    if (length < 0 || length > this.#end - this.#position) throw new Error('it ends in the middle of a field')
    this.#position += length
  }

  #readVarint(): number {
    // 49 bits and 15, the second with the sign: each is exact, and so is a sum that is not too large.
    let low = 0
    let high = 0
    for (let index = 0; index < MAX_VARINT_BYTES; index++) {
      if (this.#position === this.#end) throw new Error('it ends in the middle of a number')
      const byte = this.#bytes[this.#position++] ?? 0
      if (index < 7) low += (byte & 127) * 2 ** (7 * index)
      else high |= (byte & 127) << (7 * index - 49)
      if (byte < 128) return low + ((high << 17) >> 17) * 2 ** 49
    }
    throw new Error('a number that does not end')
  }

  #expect(wire: number): void {
    if (this.#wire !== wire) throw new Error(`a field of the kind ${this.#wire} where ${wire} belongs`)
  }
}

const UTF8 = new TextDecoder()
/** Names are short; what is longer is no name. */
const MAX_TEXT_BYTES = 4096
const MAX_VARINT_BYTES = 10

/** Arrays of numbers, by their names. */
const ARRAYS = {
  Uint8Array,
  Uint8ClampedArray,
  Uint16Array,
  Uint32Array,
  BigUint64Array,
  Int8Array,
  Int16Array,
  Int32Array,
  BigInt64Array,
  Float32Array,
  Float64Array,
} as const

type ArrayName = keyof typeof ARRAYS
type AnyArray = InstanceType<(typeof ARRAYS)[ArrayName]>

/** Every array begins at a multiple of this, so that it can be read in place. */
const ALIGNMENT = 8
const REFERENCE = '\u0000array'

/**
 * A value as bytes, equal for equal values: JSON, its keys in order, and behind it the arrays of numbers that it speaks of. `undefined` for a value that JSON
 * and arrays do not say wholly, like a Map or a function.
 */
export function encodeValue(value: unknown): Uint8Array<ArrayBuffer> | undefined {
  const arrays = new Arrays()
  let plain: unknown
  try {
    plain = plainOf(value, arrays)
  } catch (error) {
    if (error instanceof NotPlain) return undefined
    throw error
  }
  const head = new TextEncoder().encode(JSON.stringify(plain))
  const start = aligned(4 + head.length)
  const bytes = new Uint8Array(start + arrays.numBytes)
  new DataView(bytes.buffer).setUint32(0, head.length, true)
  bytes.set(head, 4)
  for (const { array, offset } of arrays.placed)
    bytes.set(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), start + offset)
  return bytes
}

/** The value again, in arrays of its own. */
export function decodeValue(bytes: Uint8Array<ArrayBuffer>): unknown {
  const whole = bytes.slice().buffer
  const headBytes = new DataView(whole).getUint32(0, true)
  const start = aligned(4 + headBytes)
  const plain: unknown = JSON.parse(new TextDecoder().decode(new Uint8Array(whole, 4, headBytes)))
  return valueOf(plain, ({ [REFERENCE]: name, length, offset }) => {
    const Type = ARRAYS[name]
    const from = start + offset
    return new Type(whole.slice(from, from + length * Type.BYTES_PER_ELEMENT))
  })
}

class NotPlain extends Error {}

interface Reference {
  readonly [REFERENCE]: ArrayName
  readonly length: number
  /** Bytes behind the head. */
  readonly offset: number
}

class Arrays {
  readonly placed: { readonly array: AnyArray; readonly offset: number }[] = []
  numBytes = 0

  place(array: AnyArray): number {
    const offset = this.numBytes
    this.placed.push({ array, offset })
    this.numBytes = aligned(offset + array.byteLength)
    return offset
  }
}

function plainOf(value: unknown, arrays: Arrays): unknown {
  switch (typeof value) {
    case 'string':
    case 'boolean':
      return value
    case 'number':
      if (!Number.isFinite(value) || Object.is(value, -0)) throw new NotPlain()
      return value
    case 'object':
      break
    default:
      throw new NotPlain()
  }
  if (value === null) return null
  if (ArrayBuffer.isView(value)) {
    const name = value.constructor.name as ArrayName
    if (!(name in ARRAYS)) throw new NotPlain()
    const array = value as AnyArray
    return { [REFERENCE]: name, length: array.length, offset: arrays.place(array) } satisfies Reference
  }
  if (Array.isArray(value)) return value.map((each: unknown) => plainOf(each, arrays))
  const prototype: unknown = Object.getPrototypeOf(value)
  if ((prototype !== Object.prototype && prototype !== null) || REFERENCE in value) throw new NotPlain()
  const entries = Object.entries(value).filter(([, each]) => each !== undefined)
  const ordered = entries.sort(([one], [other]) => (one < other ? -1 : 1))
  return Object.fromEntries(ordered.map(([key, each]) => [key, plainOf(each, arrays)]))
}

function valueOf(plain: unknown, take: (reference: Reference) => AnyArray): unknown {
  if (typeof plain !== 'object' || plain === null) return plain
  if (Array.isArray(plain)) return plain.map((each: unknown) => valueOf(each, take))
  if (REFERENCE in plain) return take(plain as Reference)
  return Object.fromEntries(Object.entries(plain).map(([key, each]) => [key, valueOf(each, take)]))
}

function aligned(offset: number): number {
  return Math.ceil(offset / ALIGNMENT) * ALIGNMENT
}

import { joinBytes } from '../join-bytes.ts'
/** What becomes of a field that holds bytes, by its number. `undefined`: it goes. */
export type FieldEdits = Readonly<Record<number, (content: Uint8Array) => Uint8Array | undefined>>

/** A protobuf message with some of its fields changed; all others stay byte for byte. Throws a plain `Error` on bytes that are no message. */
export function rewriteMessage(bytes: Uint8Array, edits: FieldEdits): Uint8Array {
  const pieces: Uint8Array[] = []
  let at = 0
  while (at < bytes.length) {
    const begin = at
    const key = varint()
    const length = sizeOf(key % 8)
    const content = bytes.subarray(at, at + length)
    if (content.length !== length) throw new Error('it ends in the middle of a field')
    at += length
    const edit = key % 8 === BYTES ? edits[Math.trunc(key / 8)] : undefined
    if (edit === undefined) pieces.push(bytes.subarray(begin, at))
    else {
      const changed = edit(content)
      if (changed !== undefined) pieces.push(field(Math.trunc(key / 8), changed))
    }
  }
  return joinBytes(pieces)

  function sizeOf(wire: number): number {
    if (wire === BYTES) return varint()
    if (wire === 1) return 8
    if (wire === 5) return 4
    if (wire !== 0) throw new Error(`a field of the unknown kind ${wire}`)
    const begin = at
    varint()
    const length = at - begin
    at = begin
    return length
  }

  function varint(): number {
    let value = 0
    for (let scale = 1; ; scale *= 128) {
      const byte = bytes[at++]
      if (byte === undefined) throw new Error('it ends in the middle of a number')
      value += (byte & 127) * scale
      if (byte < 128) return value
    }
  }
}

const BYTES = 2

/** A field that holds bytes. */
export function field(number: number, content: Uint8Array): Uint8Array {
  return joinBytes([varintBytes(number * 8 + BYTES), varintBytes(content.length), content])
}

function varintBytes(value: number): Uint8Array {
  const bytes: number[] = []
  for (let left = value; ; left = Math.trunc(left / 128)) {
    if (left < 128) return Uint8Array.of(...bytes, left)
    bytes.push((left % 128) + 128)
  }
}

import { Reader, Writer } from 'protobufjs/minimal.js'

/** Fields of a message as `name: [rule?, type, number]`, in the words of the .proto files. */
export type MessageFields = Readonly<
  Record<string, readonly [type: string, id: number] | readonly [rule: 'repeated', type: string, id: number]>
>

export interface MessageCodec {
  encode(message: object): Uint8Array
  /** Plain objects: 64-bit integers as numbers, absent lists as empty lists. Throws on bytes that are not this message. */
  decode(bytes: Uint8Array): unknown
}

/**
 * The door to protobufjs, of which only the wire format is used: what makes code of messages would need a page that allows `eval`.
 * @param name of the message that the codec reads and writes; the others are parts of it.
 */
export function messageCodec(messages: Readonly<Record<string, MessageFields>>, name: string): MessageCodec {
  const schema = new Map(Object.entries(messages).map(([message, fields]) => [message, fieldsOf(fields)]))
  return {
    encode: (message) => write(schema, name, message, Writer.create()).finish(),
    decode(bytes) {
      const reader = Reader.create(bytes)
      return read(schema, name, reader, reader.len)
    },
  }
}

type Schema = ReadonlyMap<string, readonly Field[]>

interface Field {
  readonly name: string
  readonly id: number
  /** A scalar, or the name of a message. */
  readonly type: string
  readonly isRepeated: boolean
}

interface Scalar {
  readonly wireType: number
  readonly write: (writer: Writer, value: unknown) => void
  readonly read: (reader: Reader) => unknown
}

/** Values are what the callers' types say: the wire has no better way to check them. */
const SCALARS: Readonly<Record<string, Scalar>> = {
  int32: { wireType: 0, write: (writer, value) => writer.int32(value as number), read: (r) => r.int32() },
  int64: {
    wireType: 0,
    write: (writer, value) => writer.int64(value as number),
    read: (reader) => Number(reader.int64()),
  },
  bool: { wireType: 0, write: (writer, value) => writer.bool(value as boolean), read: (r) => r.bool() },
  string: { wireType: 2, write: (writer, value) => writer.string(value as string), read: (r) => r.string() },
  bytes: { wireType: 2, write: (writer, value) => writer.bytes(value as Uint8Array), read: (r) => r.bytes() },
  float: { wireType: 5, write: (writer, value) => writer.float(value as number), read: (r) => r.float() },
}

const LENGTH_DELIMITED = 2

/** By their numbers, the order in which they are written. */
function fieldsOf(fields: MessageFields): readonly Field[] {
  return Object.entries(fields)
    .map(([name, spec]) =>
      spec.length === 3
        ? { name, type: spec[1], id: spec[2], isRepeated: true }
        : { name, type: spec[0], id: spec[1], isRepeated: false },
    )
    .toSorted((left, right) => left.id - right.id)
}

function write(schema: Schema, message: string, value: object, writer: Writer): Writer {
  for (const field of schema.get(message) ?? []) {
    const given: unknown = (value as Record<string, unknown>)[field.name]
    if (isDefault(given)) continue
    if (isPackable(field)) writePacked(field, given as readonly unknown[], writer)
    else if (field.isRepeated)
      for (const one of given as readonly unknown[]) writeField(schema, field, one, writer)
    else writeField(schema, field, given, writer)
  }
  return writer
}

/** What a reader takes an absent field for is not written. */
function isDefault(value: unknown): boolean {
  if (value instanceof Uint8Array || Array.isArray(value)) return value.length === 0
  return value === undefined || value === '' || value === false || Object.is(value, 0)
}

/** Lists of numbers may come as one field that holds them all. */
function isPackable({ type, isRepeated }: Field): boolean {
  return isRepeated && (SCALARS[type]?.wireType ?? LENGTH_DELIMITED) !== LENGTH_DELIMITED
}

function writePacked({ type, id }: Field, values: readonly unknown[], writer: Writer): void {
  writer.uint32((id << 3) | LENGTH_DELIMITED).fork()
  for (const value of values) SCALARS[type]?.write(writer, value)
  writer.ldelim()
}

function writeField(schema: Schema, { type, id }: Field, value: unknown, writer: Writer): void {
  const scalar = SCALARS[type]
  writer.uint32((id << 3) | (scalar?.wireType ?? LENGTH_DELIMITED))
  if (scalar !== undefined) return scalar.write(writer, value)
  write(schema, type, value as object, writer.fork()).ldelim()
}

function read(schema: Schema, message: string, reader: Reader, end: number): Record<string, unknown> {
  const fields = schema.get(message) ?? []
  const found: Record<string, unknown> = {}
  for (const { name, isRepeated } of fields) if (isRepeated) found[name] = []
  while (reader.pos < end) {
    const tag = reader.uint32()
    const field = fields.find(({ id }) => id === tag >>> 3)
    if (field === undefined || !fits(field, tag & 7)) reader.skipType(tag & 7)
    else readField(schema, field, tag & 7, reader, found)
  }
  return found
}

function fits(field: Field, wireType: number): boolean {
  const own = SCALARS[field.type]?.wireType ?? LENGTH_DELIMITED
  return wireType === own || (isPackable(field) && wireType === LENGTH_DELIMITED)
}

function readField(
  schema: Schema,
  { name, type, isRepeated }: Field,
  wireType: number,
  reader: Reader,
  found: Record<string, unknown>,
): void {
  const scalar = SCALARS[type]
  const take = (): unknown =>
    scalar === undefined ? read(schema, type, reader, lengthEnd(reader)) : scalar.read(reader)
  if (!isRepeated) {
    found[name] = take()
    return
  }
  const list = found[name] as unknown[]
  const isPacked = wireType !== (scalar?.wireType ?? LENGTH_DELIMITED)
  const end = isPacked ? lengthEnd(reader) : reader.pos + 1
  while (reader.pos < end) list.push(take())
}

function lengthEnd(reader: Reader): number {
  const length = reader.uint32()
  return reader.pos + length
}

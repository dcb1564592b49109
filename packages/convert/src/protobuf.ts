import protobuf from 'protobufjs'

/** Fields of a message as `name: [rule?, type, number]`, in the words of the .proto files. */
export type MessageFields = Readonly<
  Record<string, readonly [type: string, id: number] | readonly [rule: 'repeated', type: string, id: number]>
>

export interface MessageCodec {
  encode(message: object): Uint8Array
  /** Plain objects: 64-bit integers as numbers, absent lists as empty lists. Throws on bytes that are not this message. */
  decode(bytes: Uint8Array): unknown
}

/** The door to protobufjs: compiles messages at run time, so that no generated code lies in the repository. */
export function messageCodec(messages: Readonly<Record<string, MessageFields>>, name: string): MessageCodec {
  const nested = Object.fromEntries(
    Object.entries(messages).map(([message, fields]) => [message, { fields: fieldsOf(fields) }]),
  )
  const type = protobuf.Root.fromJSON({ nested }).lookupType(name)
  return {
    encode: (message) => type.encode(type.fromObject(message)).finish(),
    decode: (bytes) => type.toObject(type.decode(bytes), { longs: Number, arrays: true }),
  }
}

function fieldsOf(fields: MessageFields): Record<string, protobuf.IField> {
  return Object.fromEntries(
    Object.entries(fields).map(([field, spec]) =>
      spec.length === 3
        ? [field, { rule: spec[0], type: spec[1], id: spec[2] }]
        : [field, { type: spec[0], id: spec[1] }],
    ),
  )
}

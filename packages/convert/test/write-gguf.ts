/** A value of GGUF metadata with its type's number. */
export type GgufEntry =
  | { readonly type: 'uint32' | 'float32'; readonly value: number }
  | { readonly type: 'bool'; readonly value: boolean }
  | { readonly type: 'string'; readonly value: string }
  | { readonly type: 'strings'; readonly value: readonly string[] }
  | { readonly type: 'float32s' | 'int32s'; readonly value: readonly number[] }

export interface GgufTensor {
  readonly name: string
  /** As in PyTorch; the file has it the other way round. */
  readonly shape: readonly number[]
  /** Number of ggml's type, and the bytes in it. */
  readonly type: number
  readonly bytes: Uint8Array
}

/** A GGUF file, written from docs/gguf.md in github.com/ggml-org/ggml. */
export function ggufBytes(
  metadata: Readonly<Record<string, GgufEntry>>,
  tensors: readonly GgufTensor[],
  version = 3,
): Uint8Array {
  const head = new Writer()
  head.bytes(Buffer.from('GGUF'))
  head.uint32(version)
  head.uint64(tensors.length)
  head.uint64(Object.keys(metadata).length)
  for (const [key, entry] of Object.entries(metadata)) {
    head.string(key)
    writeEntry(head, entry)
  }
  let offset = 0
  for (const { name, shape, type, bytes } of tensors) {
    head.string(name)
    head.uint32(shape.length)
    for (const size of shape.toReversed()) head.uint64(size)
    head.uint32(type)
    head.uint64(offset)
    offset += padded(bytes.length)
  }
  const parts = [padding(head.joined())]
  for (const { bytes } of tensors) parts.push(padding(bytes))
  return Buffer.concat(parts)
}

function writeEntry(head: Writer, entry: GgufEntry): void {
  switch (entry.type) {
    case 'uint32':
      head.uint32(4)
      return head.uint32(entry.value)
    case 'float32':
      head.uint32(6)
      return head.float32(entry.value)
    case 'bool':
      head.uint32(7)
      return head.bytes(Uint8Array.of(entry.value ? 1 : 0))
    case 'string':
      head.uint32(8)
      return head.string(entry.value)
    case 'strings':
      head.list(8, entry.value.length)
      return entry.value.forEach((text) => head.string(text))
    case 'float32s':
      head.list(6, entry.value.length)
      return entry.value.forEach((value) => head.float32(value))
    case 'int32s':
      head.list(5, entry.value.length)
      return entry.value.forEach((value) => head.uint32(value))
  }
}

class Writer {
  readonly #parts: Uint8Array[] = []

  bytes(bytes: Uint8Array): void {
    this.#parts.push(bytes)
  }

  uint32(value: number): void {
    this.bytes(new Uint8Array(Uint32Array.of(value).buffer))
  }

  uint64(value: number): void {
    this.bytes(new Uint8Array(BigUint64Array.of(BigInt(value)).buffer))
  }

  float32(value: number): void {
    this.bytes(new Uint8Array(Float32Array.of(value).buffer))
  }

  string(text: string): void {
    const bytes = Buffer.from(text)
    this.uint64(bytes.length)
    this.bytes(bytes)
  }

  list(type: number, length: number): void {
    this.uint32(9)
    this.uint32(type)
    this.uint64(length)
  }

  joined(): Uint8Array {
    return Buffer.concat(this.#parts)
  }
}

function padded(length: number): number {
  return Math.ceil(length / 32) * 32
}

function padding(bytes: Uint8Array): Uint8Array {
  return Buffer.concat([bytes, Buffer.alloc(padded(bytes.length) - bytes.length)])
}

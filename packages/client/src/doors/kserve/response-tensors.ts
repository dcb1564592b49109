import type { TensorValue, Tensors } from '@tabserve/protocol'
import { unsupported } from '../openai/fields.ts'
import type { InferOutput } from './shapes.ts'

/** Outputs as the protocol lists them, and the bytes that go behind the JSON. @param isBinary whether an output is to go there. */
export function responseTensors(
  outputs: Tensors,
  isBinary: (name: string) => boolean,
): { readonly listed: InferOutput[]; readonly binary: readonly Uint8Array[] } {
  const binary: Uint8Array[] = []
  const listed = Object.entries(outputs).map(([name, tensor]): InferOutput => {
    const { datatype, shape } = tensor
    const facts = { name, datatype, shape: [...shape] }
    if (!isBinary(name)) return { ...facts, data: jsonData(name, tensor) }
    const bytes = bytesOf(tensor)
    binary.push(bytes)
    return { ...facts, parameters: { binary_data_size: bytes.length } }
  })
  return { listed, binary }
}

/** Throws `unsupported_parameter` for what JSON cannot say. */
function jsonData(name: string, { datatype, data }: TensorValue): (number | string | boolean)[] {
  if (datatype === 'FP16') throw unsupported('outputs', `${name} is FP16: ask for it with binary_data.`)
  const values = Array.from(data as ArrayLike<number | bigint | string>)
  if (datatype === 'BOOL') return values.map(Boolean)
  return values.map((value) => {
    if (typeof value !== 'bigint') return value
    const number = Number(value)
    if (Number.isSafeInteger(number)) return number
    throw unsupported('outputs', `${name} holds ${value}, which JSON rounds: ask for it with binary_data.`)
  })
}

function bytesOf({ data }: TensorValue): Uint8Array {
  if ('buffer' in data) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
  const texts = data.map((text) => new TextEncoder().encode(text))
  const whole = new Uint8Array(texts.reduce((sum, { length }) => sum + 4 + length, 0))
  let at = 0
  for (const text of texts) {
    new DataView(whole.buffer).setUint32(at, text.length, true)
    whole.set(text, at + 4)
    at += 4 + text.length
  }
  return whole
}

import { EngineError } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import { Parameters } from '../parameters.ts'
import { sigmoid } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'

/**
 * A text to its sentences, by a graph that reads bytes and says of each whether a sentence ends there (nnsplit): `input` uint8 [rows, length],
 * output float32 [rows, length, 2], whose first number is the sentence's. Sentences keep the spaces behind them: together they are the text.
 */
export async function split(model: TaskModel): Promise<Handler<string, readonly string[]>> {
  const [input = 'input'] = await model.inputNames()
  return {
    preprocess(text, { parameters, item }) {
      if (typeof text !== 'string')
        throw new EngineError('bad_request', 'Splitting takes a text.', { param: 'input' })
      const read = new Parameters(parameters, model.options, ['threshold'])
      const bytes = new TextEncoder().encode(text)
      const windows = windowsOf(bytes.length)
      item.set('bytes', bytes).set('threshold', read.fraction('threshold', 0.5))
      const rows = windows.map(({ start, length }) => bytes.subarray(start, start + length))
      const length = windows[0]?.length ?? 1
      const data = new Uint8Array(length * Math.max(1, rows.length))
      for (const [row, part] of rows.entries()) data.set(part, row * length)
      return { [input]: { datatype: 'UINT8', shape: [Math.max(1, rows.length), length], data } }
    },
    postprocess(outputs, { item }) {
      const bytes = item.get('bytes') as Uint8Array
      const { shape, data } = floatOutput(outputs, 'output')
      const ends = probabilities(bytes.length, shape, data)
      return sentencesOf(bytes, ends, item.get('threshold') as number)
    },
  }
}

/** As nnsplit reads long texts: overlapping windows, whose answers are averaged. Bytes. */
const WINDOW = 500
const STRIDE = 250

function windowsOf(total: number): { readonly start: number; readonly length: number }[] {
  const length = Math.min(WINDOW, Math.max(1, total))
  const last = Math.max(0, total - length)
  const starts = Array.from({ length: Math.ceil(last / STRIDE) + 1 }, (_, index) =>
    Math.min(last, index * STRIDE),
  )
  return starts.map((start) => ({ start, length }))
}

/** The probability that a sentence ends with each byte, the mean of the windows that saw it. */
function probabilities(total: number, shape: readonly number[], data: Float32Array): Float64Array {
  const [, stride = 0, width = 1] = shape
  const sums = new Float64Array(total)
  const counts = new Float64Array(total)
  for (const [row, { start, length }] of windowsOf(total).entries())
    for (let at = 0; at < length; at++) {
      sums[start + at] = (sums[start + at] ?? 0) + sigmoid(data[(row * stride + at) * width] ?? 0)
      counts[start + at] = (counts[start + at] ?? 0) + 1
    }
  return sums.map((sum, at) => sum / (counts[at] || 1))
}

/** Cuts behind each byte that ends a sentence, and behind the spaces that follow it. */
function sentencesOf(bytes: Uint8Array, ends: Float64Array, threshold: number): string[] {
  const sentences: string[] = []
  let start = 0
  for (let at = 0; at < bytes.length; at++) {
    if ((ends[at] ?? 0) < threshold) continue
    while (isSpace(bytes[at + 1]) || isWithinCharacter(bytes[at + 1])) at++
    sentences.push(new TextDecoder().decode(bytes.subarray(start, at + 1)))
    start = at + 1
  }
  if (start < bytes.length) sentences.push(new TextDecoder().decode(bytes.subarray(start)))
  return sentences
}

function isSpace(byte: number | undefined): boolean {
  return byte === 0x20 || (byte !== undefined && byte >= 0x09 && byte <= 0x0d)
}

function isWithinCharacter(byte: number | undefined): boolean {
  return byte !== undefined && (byte & 0xc0) === 0x80
}

import type { Logits, Run, Step } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** The names of a `DecoderGraph`'s inputs and outputs (see `protocol/manifest.ts`). */
export const INPUT = {
  ids: 'input_ids',
  seqlens: 'seqlens_k',
  total: 'total_sequence_length',
  logitsIndex: 'logits_index',
} as const
export const LOGITS = 'logits'

export function kvNames(layers: number): { past: readonly string[]; present: readonly string[] } {
  const of = (prefix: string) =>
    Array.from({ length: layers }, (_, layer) => [
      `${prefix}.${layer}.key`,
      `${prefix}.${layer}.value`,
    ]).flat()
  return { past: of('past_key_values'), present: of('present') }
}

/** The bytes of a decoder's two files. */
export interface DecoderFiles {
  readonly graph: Uint8Array
  readonly externalData: Uint8Array
}

/** Throws `bad_model` when a session is not the `DecoderGraph` that its manifest describes. */
export function checkNames(graph: DecoderGraph, inputs: readonly string[], outputs: readonly string[]): void {
  const { past, present } = kvNames(graph.layers)
  const difference = (found: readonly string[], wanted: readonly string[]) =>
    [...found.filter((name) => !wanted.includes(name)), ...wanted.filter((name) => !found.includes(name))][0]
  const wrong =
    difference(inputs, [...Object.values(INPUT), ...past]) ?? difference(outputs, [LOGITS, ...present])
  if (wrong === undefined) return
  const message = `${graph.file} is not a ${graph.kind} graph of ${graph.layers} layers: ${wrong} is missing or unknown.`
  throw new EngineError('bad_model', message, { file: graph.file })
}

/** A step as the graph wants it: a rectangle of ids over neighbouring rows, with lengths per row. */
export interface Batch {
  readonly firstRow: number
  readonly numRows: number
  /** Tokens a row, padding included. */
  readonly width: number
  /** int32 [numRows, width]. */
  readonly ids: Int32Array
  /** int32 [numRows]: valid positions after the step, minus one. */
  readonly seqlens: Int32Array
  readonly totalLength: number
  /** int32 [N], into the flattened ids. At least one: the graph has no empty shapes. */
  readonly logitsIndex: Int32Array
  /** How many of them each run asked for. */
  readonly logitsPerRun: readonly number[]
}

/**
 * Lays a step out for a decoder with GroupQueryAttention: one run of any length, decode rows side by side, or whole prompts
 * side by side, padded on the right. Throws plain `Error`: a step that the graph cannot take is the scheduler's bug.
 */
export function layOut(step: Step): Batch {
  const { runs } = step
  const first = runs[0]
  if (first === undefined) throw new Error('an empty step')
  const width = Math.max(...runs.map(({ tokens }) => tokens.length))
  if (runs.length > 1 && width > 1 && runs.some(({ from }) => from > 0))
    throw new Error('several runs of several tokens, with a past')
  const firstRow = rowOf(first)
  if (runs.some((run, index) => rowOf(run) !== firstRow + index))
    throw new Error('the rows of a step must be neighbours')
  const ids = new Int32Array(runs.length * width)
  runs.forEach((run, index) => ids.set(run.tokens, index * width))
  const lengths = runs.map((run) => run.from + run.tokens.length)
  const wanted = runs.flatMap((run, index) => wantedOf(run).map((position) => index * width + position))
  return {
    firstRow,
    numRows: runs.length,
    width,
    ids,
    seqlens: Int32Array.from(lengths, (length) => length - 1),
    totalLength: Math.max(...lengths),
    logitsIndex: Int32Array.from(wanted.length > 0 ? wanted : [ids.length - 1]),
    logitsPerRun: runs.map((run) => wantedOf(run).length),
  }
}

/** Cuts the graph's logits [N, vocabSize] into one view a run. The graph gives whole rows, whatever `top` says. */
export function outputsOfRuns(logits: Float32Array, batch: Batch, vocabSize: number): Logits[] {
  let from = 0
  return batch.logitsPerRun.map((count) => ({
    values: logits.subarray(from, (from += count * vocabSize)),
    tokens: undefined,
  }))
}

function rowOf({ kv }: Run): number {
  if ('row' in kv) return kv.row
  throw new Error('a block table for a runner whose KV lies in rows')
}

function wantedOf({ wantLogits, tokens }: Run): number[] {
  if (wantLogits === 'none') return []
  return wantLogits === 'last' ? [tokens.length - 1] : Array.from(tokens.keys())
}

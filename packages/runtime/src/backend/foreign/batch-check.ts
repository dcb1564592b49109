import type { Run } from '@tabserve/engine'
import type { RowRoom } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import { ForeignRunner } from './foreign-runner.ts'
import type { ForeignSession } from './foreign-session.ts'

/**
 * Asks the graph itself whether rows may go through it together: two prompts of different lengths, read and continued alone and then together, must
 * have the same logits. Says what differs, or `undefined`. Six steps of a few tokens; what they leave in the cache nobody reads.
 */
export async function batchProblem(
  session: ForeignSession,
  form: DecoderForm,
  room: RowRoom,
): Promise<string | undefined> {
  if (room.rows < 2 || room.contextLength < LONG + 1) return 'there is room for one answer only'
  const runner = new ForeignRunner(session, form, room, true)
  const prompts = [promptRun(0, LONG, form), promptRun(1, SHORT, form)]
  const next = [nextRun(0, LONG), nextRun(1, SHORT)]
  for (const [what, runs] of [
    ['prompts', prompts],
    ['answers', next],
  ] as const) {
    const alone: Float32Array[] = []
    for (const run of runs) alone.push(...(await logitsOf(runner, [run])))
    if (what === 'prompts' && !runner.capabilities.batchedPrefill) continue
    const together = await logitsOf(runner, runs)
    if (!alone.every((logits, row) => isSame(logits, together[row], form)))
      return `${what} that are computed together come out otherwise than alone`
  }
  return undefined
}

async function logitsOf(runner: ForeignRunner, runs: readonly Run[]): Promise<Float32Array[]> {
  const { outputs } = await runner.run({ runs })
  return outputs.map(({ values }) => values.slice())
}

function promptRun(row: number, length: number, { vocabSize }: DecoderForm): Run {
  const tokens = Int32Array.from({ length }, (_, index) => (1 + 7 * row + 3 * index) % vocabSize)
  return { kv: { row }, from: 0, tokens, wantLogits: 'last', top: 0 }
}

function nextRun(row: number, from: number): Run {
  return { kv: { row }, from, tokens: Int32Array.of(0), wantLogits: 'last', top: 0 }
}

/** Equal but for the rounding of sums in another order, measured against how far the logits lie apart. */
function isSame(
  alone: Float32Array,
  together: Float32Array | undefined,
  { dtype, logits }: DecoderForm,
): boolean {
  const isHalf = dtype === 'float16' || logits.dtype === 'float16'
  let [least, most, difference] = [Infinity, -Infinity, 0]
  for (const [index, value] of alone.entries()) {
    least = Math.min(least, value)
    most = Math.max(most, value)
    difference = Math.max(difference, Math.abs(value - (together?.[index] ?? NaN)))
  }
  // Also false where anything is not a number.
  return difference <= (isHalf ? HALF_TOLERANCE : TOLERANCE) * (most - least)
}

const LONG = 5
const SHORT = 2
const TOLERANCE = 1e-3
const HALF_TOLERANCE = 2e-2

import type { Run } from '@tabserve/engine'
import { messageOf } from '../backend-failure.ts'
import type { RowRoom } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import { ForeignRunner } from './foreign-runner.ts'
import type { ForeignSession } from './foreign-session.ts'

/**
 * Asks the graph itself whether rows may go through it together: two prompts of different lengths, read and continued alone and then together, must
 * have the same logits. Says what differs, or `undefined`. Six short steps; what they leave in the cache nobody reads.
 */
export async function batchProblem(
  session: ForeignSession,
  form: DecoderForm,
  room: RowRoom,
): Promise<string | undefined> {
  if (room.rows < 2) return 'there is room for one answer only'
  const long = Math.min(PROMPT_LENGTH, room.contextLength - 1)
  const short = Math.trunc(long / 3)
  const runner = new ForeignRunner(session, form, room, true)
  const prompts = [promptRun(0, long, form), promptRun(1, short, form)]
  const next = [nextRun(0, long, form), nextRun(1, short, form)]
  for (const [what, runs] of [
    ['prompts', prompts],
    ['answers', next],
  ] as const) {
    const alone: Float32Array[] = []
    for (const run of runs) alone.push(...(await logitsOf(runner, [run])))
    if (what === 'prompts' && !runner.capabilities.batchedPrefill) continue
    try {
      const together = await logitsOf(runner, runs)
      if (!alone.every((logits, row) => isSame(logits, together[row], form)))
        return `${what} that are computed together come out otherwise than alone`
    } catch (error) {
      // Alone they went through: it is the batch that the graph does not take.
      return `${what} cannot be computed together: ${messageOf(error)}`
    }
  }
  return undefined
}

async function logitsOf(runner: ForeignRunner, runs: readonly Run[]): Promise<Float32Array[]> {
  const { outputs } = await runner.run({ runs })
  return outputs.map(({ values }) => values.slice())
}

function promptRun(row: number, length: number, { vocabSize }: DecoderForm): Run {
  const tokens = Int32Array.from({ length }, (_, index) => tokenAt(row + index, vocabSize))
  return { kv: { row }, from: 0, tokens, wantLogits: 'last', top: 0 }
}

function nextRun(row: number, from: number, { vocabSize }: DecoderForm): Run {
  return { kv: { row }, from, tokens: Int32Array.of(tokenAt(from, vocabSize)), wantLogits: 'last', top: 0 }
}

/** From the middle of the vocabulary, where words are: what attention makes of bytes or of <unk> depends little on where they stand. */
function tokenAt(index: number, vocabSize: number): number {
  return (Math.trunc(vocabSize / 2) + 37 * index) % vocabSize
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

/** So long that a row which is computed at the wrong positions gives other logits by far. */
const PROMPT_LENGTH = 24
const TOLERANCE = 5e-3
const HALF_TOLERANCE = 2e-2

import type { ModelRunner } from '@tabserve/engine'
import type { CandidateReport } from '@tabserve/protocol'
import type { ChosenRunner } from './chosen-runner.ts'

const PROMPT_TOKENS = 40
const ANSWER_TOKENS = 12
/** Of the range of the logits: what 4-bit weights with 8-bit activations may differ from fp32 ones. A broken GPU differs by all of it. */
const TOLERANCE = 0.15

/** What a runner says to the same tokens as another one, and how fast. */
export interface Trial {
  /** A copy of the logits behind the prompt and behind each token of the answer. */
  readonly logits: readonly Float32Array[]
  readonly answer: readonly number[]
  readonly msPerToken: number
  readonly msPerPromptToken: number
}

/**
 * Reads a fixed prompt and goes on greedily; or, with `golden`, with those tokens, so that a near tie does not lead elsewhere. The first pass of each
 * kind is not timed: it compiles.
 */
export async function tryOut(runner: ModelRunner, golden?: readonly number[]): Promise<Trial> {
  const { vocabSize, maxContext, paged } = runner.capabilities
  const length = Math.min(PROMPT_TOKENS, maxContext - ANSWER_TOKENS - 1)
  const prompt = Int32Array.from({ length }, (_, index) => (index * 7919 + 1) % vocabSize)
  const numBlocks = paged === undefined ? 0 : Math.ceil((length + ANSWER_TOKENS) / paged.blockTokens)
  const read = async (from: number, tokens: Int32Array): Promise<Float32Array> => {
    let logits = new Float32Array()
    const { maxTokensPerStep } = runner.capabilities
    for (let at = 0; at < tokens.length; at += maxTokensPerStep) {
      const piece = tokens.subarray(at, at + maxTokensPerStep)
      const kv = paged === undefined ? { row: 0 } : { blocks: tableOf(from + at + piece.length) }
      const run = { kv, from: from + at, tokens: piece, wantLogits: 'last' as const, top: 0 }
      const { outputs } = await runner.run({ runs: [run] })
      logits = Float32Array.from(outputs[0]?.values ?? [])
    }
    return logits
  }
  const tableOf = (positions: number) =>
    Int32Array.from(
      { length: Math.min(numBlocks, Math.ceil(positions / (paged?.blockTokens ?? 1))) },
      (_, index) => index,
    )
  await read(0, prompt)
  const started = performance.now()
  const logits = [await read(0, prompt)]
  const msPerPromptToken = (performance.now() - started) / length
  const answer: number[] = []
  const times: number[] = []
  while (answer.length < ANSWER_TOKENS) {
    answer.push(golden?.[answer.length] ?? argmax(logits.at(-1)!))
    const begun = performance.now()
    logits.push(await read(length + answer.length - 1, Int32Array.of(answer.at(-1)!)))
    times.push(performance.now() - begun)
  }
  times.shift()
  const msPerToken = times.toSorted((a, b) => a - b)[times.length >> 1]!
  return { logits, answer, msPerToken, msPerPromptToken }
}

/** What is wrong with a trial, against one of a runner that is right. Its best token must be one that the other one likes nearly as much as its own. */
export function problemOf(trial: Trial, golden: Trial): string | undefined {
  for (const [place, wanted] of golden.logits.entries()) {
    const found = trial.logits[place] ?? new Float32Array()
    const best = argmax(found)
    if (!Number.isFinite(found[best] ?? NaN)) return `no usable logits behind token ${place}`
    const high = wanted[argmax(wanted)]!
    const range = high - wanted.reduce((low, value) => Math.min(low, value), Infinity)
    const isFlat = found.every((value) => value === found[0])
    if (isFlat || high - (wanted[best] ?? -Infinity) > TOLERANCE * range)
      return `token ${place} is ${best}, and ${argmax(wanted)} is right`
  }
  return undefined
}

export function reportOf(
  { name }: Pick<ChosenRunner, 'name'>,
  trial: Trial,
  problem: string | undefined,
): CandidateReport {
  const { msPerToken, msPerPromptToken } = trial
  const selfTest = problem === undefined ? { passed: true as const } : { passed: false as const, problem }
  return { runner: name, selfTest, msPerToken, msPerPromptToken }
}

function argmax(values: Float32Array): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if (!(values[best]! >= values[index]!)) best = index
  return best
}

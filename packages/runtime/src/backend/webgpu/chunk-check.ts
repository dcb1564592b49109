import type { ModelRunner } from '@tabserve/engine'

/** onnxruntime's attention takes another way from 32 tokens on, and on some GPUs that way is wrong. */
const SHORT_CHUNK = 31
/** Pieces that no special way exists for. */
export const PIECE = 8
const PROBE_LENGTH = 48
/** Of the range of the logits: far above rounding, far below an error. */
const TOLERANCE = 0.01

/**
 * The longest chunk of a prompt that this GPU computes right: `maxTokensPerStep` if that gives the logits that small pieces give, else 31. Found on
 * SwiftShader (subgroups of 4) and llvmpipe (of 8) with onnxruntime-web 1.30.0: 31 tokens are right to 1e-5, 32 are wrong by 2; real GPUs had their turn too
 * (microsoft/onnxruntime#26064, #28520).
 */
export async function longestRightChunk(runner: ModelRunner): Promise<number> {
  const { maxTokensPerStep } = runner.capabilities
  const tokens = probeTokens(runner)
  if (Math.min(tokens.length, maxTokensPerStep) <= SHORT_CHUNK) return maxTokensPerStep
  const text = tokens.subarray(0, maxTokensPerStep)
  const wanted = await readProbe(runner, text, PIECE)
  const found = await readProbe(runner, text, text.length)
  return areClose(found, wanted) ? maxTokensPerStep : SHORT_CHUNK
}

/** Whatever they mean, they are tokens, and no two neighbours are the same. */
export function probeTokens({ capabilities }: ModelRunner): Int32Array {
  const { maxContext, vocabSize } = capabilities
  const length = Math.min(PROBE_LENGTH, maxContext)
  return Int32Array.from({ length }, (_, index) => (index * 7919 + 1) % vocabSize)
}

/** The logits behind the last token, where they are read so many at a time. */
export async function readProbe(
  runner: ModelRunner,
  tokens: Int32Array,
  chunk: number,
): Promise<Float32Array> {
  let last = new Float32Array()
  for (let from = 0; from < tokens.length; from += chunk) {
    const run = { kv: { row: 0 }, from, tokens: tokens.subarray(from, from + chunk), top: 0 }
    const { outputs } = await runner.run({ runs: [{ ...run, wantLogits: 'last' }] })
    last = Float32Array.from(outputs[0]?.values ?? [])
  }
  return last
}

function areClose(found: Float32Array, wanted: Float32Array): boolean {
  let [low, high, difference] = [Infinity, -Infinity, 0]
  wanted.forEach((value, index) => {
    low = Math.min(low, value)
    high = Math.max(high, value)
    difference = Math.max(difference, Math.abs(value - (found[index] ?? NaN)))
  })
  return difference <= TOLERANCE * (high - low) // and so not where anything is NaN
}

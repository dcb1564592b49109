import type { ModelRunner } from '@tabserve/engine'
import { PIECE, probeTokens, readProbe } from './chunk-check.ts'

/**
 * Whether a runner gives numbers at all. Activations of some models are larger than a half can be (65504): they become infinite, and logits behind them
 * are not numbers.
 */
export async function givesNumbers(runner: ModelRunner): Promise<boolean> {
  const { maxTokensPerStep } = runner.capabilities
  const logits = await readProbe(runner, probeTokens(runner), Math.min(PIECE, maxTokensPerStep))
  return logits.every(Number.isFinite)
}

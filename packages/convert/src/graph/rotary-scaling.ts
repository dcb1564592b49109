import { ConvertError } from '../convert-error.ts'
import { plainRotary } from './rotary.ts'
import type { RotaryFrequencies } from './rotary.ts'

/** How a model stretches its rotation to longer contexts than it was first trained for. Names and defaults as in Hugging Face's configurations. */
export type RotaryScaling =
  | { readonly kind: 'linear'; readonly factor: number }
  | {
      readonly kind: 'llama3'
      readonly factor: number
      readonly lowFreqFactor: number
      readonly highFreqFactor: number
      readonly originalLength: number
    }
  | {
      readonly kind: 'yarn'
      readonly factor: number
      readonly originalLength: number
      readonly betaFast: number
      readonly betaSlow: number
      /** On cosines and sines; 0.1·ln(factor) + 1 where absent. */
      readonly attentionFactor?: number | undefined
      /** Whether the ends of the ramp are rounded to whole pairs. */
      readonly truncate: boolean
    }
  /** Each pair's frequency divided by its own factor: what llama.cpp stores of `llama3`. */
  | { readonly kind: 'factors'; readonly factors: Float32Array }

export function scaledRotary(
  theta: number,
  rotaryDim: number,
  scaling: RotaryScaling | undefined,
): RotaryFrequencies {
  const plain = plainRotary(theta, rotaryDim)
  if (scaling === undefined) return plain
  switch (scaling.kind) {
    case 'linear':
      return divided(plain, () => scaling.factor)
    case 'factors':
      return byFactors(plain, scaling.factors)
    case 'llama3':
      return divided(plain, (frequency) => llama3Divisor(frequency, scaling))
    case 'yarn':
      return yarn(plain, theta, rotaryDim, scaling)
  }
}

function divided(
  { frequencies, magnitude }: RotaryFrequencies,
  divisor: (frequency: number, pair: number) => number,
): RotaryFrequencies {
  return {
    frequencies: frequencies.map((frequency, pair) => frequency / divisor(frequency, pair)),
    magnitude,
  }
}

function byFactors(plain: RotaryFrequencies, factors: Float32Array): RotaryFrequencies {
  if (factors.length !== plain.frequencies.length)
    throw new ConvertError(
      `the rotary factors are ${factors.length}, and a head has ${plain.frequencies.length} pairs`,
    )
  return divided(plain, (_, pair) => factors[pair] ?? 1)
}

/** Slow pairs are stretched, fast ones left, those between are blended (Llama 3.1). */
function llama3Divisor(
  frequency: number,
  scaling: Extract<RotaryScaling, { readonly kind: 'llama3' }>,
): number {
  const { factor, lowFreqFactor, highFreqFactor, originalLength } = scaling
  const wavelength = (2 * Math.PI) / frequency
  if (wavelength < originalLength / highFreqFactor) return 1
  if (wavelength > originalLength / lowFreqFactor) return factor
  const smooth = (originalLength / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor)
  return 1 / ((1 - smooth) / factor + smooth)
}

/** YaRN (Peng et al., 2023): a ramp over the pairs, between those that turn more than betaFast times in the original length and less than betaSlow. */
function yarn(
  plain: RotaryFrequencies,
  theta: number,
  rotaryDim: number,
  scaling: Extract<RotaryScaling, { readonly kind: 'yarn' }>,
): RotaryFrequencies {
  const { factor, originalLength, betaFast, betaSlow, truncate } = scaling
  const pairTurning = (times: number): number =>
    (rotaryDim * Math.log(originalLength / (times * 2 * Math.PI))) / (2 * Math.log(theta))
  const fast = pairTurning(betaFast)
  const slow = pairTurning(betaSlow)
  const low = Math.max(0, truncate ? Math.floor(fast) : fast)
  const high = Math.min(rotaryDim - 1, truncate ? Math.ceil(slow) : slow)
  const width = high === low ? 0.001 : high - low
  const { frequencies } = divided(plain, (_, pair) => {
    const stretched = Math.max(0, Math.min(1, (pair - low) / width))
    return 1 / (stretched / factor + (1 - stretched))
  })
  const magnitude = scaling.attentionFactor ?? (factor <= 1 ? 1 : 0.1 * Math.log(factor) + 1)
  return { frequencies, magnitude }
}

import type { QuantizationReport } from '@tabserve/protocol'

interface Sums {
  squaredError: number
  squaredWeights: number
}

/** Adds up what quantisation cost, matrix by matrix, each in as many pieces as it comes. */
export class QuantizationError {
  readonly #tensors = new Map<string, Sums>()
  #maxAbsError = 0

  /** Both in the same order. */
  add(tensor: string, original: Float32Array, restored: Float32Array): void {
    const sums = this.#tensors.get(tensor) ?? { squaredError: 0, squaredWeights: 0 }
    this.#tensors.set(tensor, sums)
    for (let i = 0; i < original.length; i++) {
      const weight = original[i]!
      const error = Math.abs(restored[i]! - weight)
      sums.squaredError += error * error
      sums.squaredWeights += weight * weight
      if (error > this.#maxAbsError) this.#maxAbsError = error
    }
  }

  /** `undefined` where nothing was quantised. */
  report(): QuantizationReport | undefined {
    const [first, ...others] = [...this.#tensors].map(([tensor, sums]) => ({
      tensor,
      relativeRmse: ratio(sums),
    }))
    if (first === undefined) return undefined
    const worst = others.reduce(
      (most, other) => (other.relativeRmse > most.relativeRmse ? other : most),
      first,
    )
    const total = { squaredError: 0, squaredWeights: 0 }
    for (const sums of this.#tensors.values()) {
      total.squaredError += sums.squaredError
      total.squaredWeights += sums.squaredWeights
    }
    return { relativeRmse: ratio(total), maxAbsError: this.#maxAbsError, worst }
  }
}

function ratio({ squaredError, squaredWeights }: Sums): number {
  return squaredWeights === 0 ? 0 : Math.sqrt(squaredError / squaredWeights)
}

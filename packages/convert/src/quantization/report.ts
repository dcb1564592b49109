import type { QuantizationReport } from '@tabserve/protocol'

/** Adds up what quantisation cost, matrix by matrix. */
export class QuantizationError {
  #squaredError = 0
  #squaredWeights = 0
  #maxAbsError = 0
  #worst: { tensor: string; relativeRmse: number } | undefined

  /** Both in the same order. */
  add(tensor: string, original: Float32Array, restored: (index: number) => number): void {
    let squaredError = 0
    let squaredWeights = 0
    for (let i = 0; i < original.length; i++) {
      const weight = original[i] as number
      const error = Math.abs(restored(i) - weight)
      squaredError += error * error
      squaredWeights += weight * weight
      if (error > this.#maxAbsError) this.#maxAbsError = error
    }
    this.#squaredError += squaredError
    this.#squaredWeights += squaredWeights
    const relativeRmse = ratio(squaredError, squaredWeights)
    if (this.#worst === undefined || relativeRmse > this.#worst.relativeRmse)
      this.#worst = { tensor, relativeRmse }
  }

  /** `undefined` where nothing was quantised. */
  report(): QuantizationReport | undefined {
    if (this.#worst === undefined) return undefined
    const relativeRmse = ratio(this.#squaredError, this.#squaredWeights)
    return { relativeRmse, maxAbsError: this.#maxAbsError, worst: this.#worst }
  }
}

function ratio(squaredError: number, squaredWeights: number): number {
  return squaredWeights === 0 ? 0 : Math.sqrt(squaredError / squaredWeights)
}

export type Activation = 'softmax' | 'sigmoid' | 'none'

export function activate(logits: Float32Array, activation: Activation): Float32Array {
  if (activation === 'softmax') return softmax(logits)
  return activation === 'sigmoid' ? logits.map(sigmoid) : logits
}

/** Probabilities that add up to 1; the largest logit is taken off first, so that nothing overflows. */
export function softmax(logits: ArrayLike<number>): Float32Array {
  const largest = Array.prototype.reduce.call(
    logits,
    (most, logit) => Math.max(most as number, logit as number),
    -Infinity,
  ) as number
  const weights = Float64Array.from(logits, (logit) => Math.exp(logit - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return Float32Array.from(weights, (weight) => weight / total)
}

export function sigmoid(logit: number): number {
  return 1 / (1 + Math.exp(-logit))
}

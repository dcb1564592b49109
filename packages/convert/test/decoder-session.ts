export { DecoderSession } from '../src/evaluation/decoder-session.ts'

export function argmax(logits: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < logits.length; i++) if ((logits[i] as number) > (logits[best] as number)) best = i
  return best
}

export function maxDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let largest = 0
  for (let i = 0; i < a.length; i++)
    largest = Math.max(largest, Math.abs((a[i] as number) - (b[i] as number)))
  return largest
}

/** ‖a − b‖ / ‖b − mean(b)‖: logits have no zero of their own. */
export function relativeRmse(a: ArrayLike<number>, b: ArrayLike<number>): number {
  const mean = Array.from(b).reduce((sum, value) => sum + value, 0) / b.length
  let error = 0
  let size = 0
  for (let i = 0; i < b.length; i++) {
    error += ((a[i] as number) - (b[i] as number)) ** 2
    size += ((b[i] as number) - mean) ** 2
  }
  return Math.sqrt(error / size)
}

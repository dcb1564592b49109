import type { TokenLogprob } from '@tabserve/protocol'

/**
 * Index of the largest value; the lowest of equal ones; NaN never wins. -1 where there is nothing but NaN.
 * Nearly always none of the next four is larger: to ask of all four at once takes half the time (`bench sampling`).
 */
export function argmax(values: Float32Array): number {
  let best = -1
  let max = -Infinity
  for (let index = 0; index < values.length; index++) {
    while (index + 4 < values.length && !isOneLarger(values, index, max)) index += 4
    if (!(values[index]! > max)) continue
    best = index
    max = values[index]!
  }
  return best < 0 ? values.indexOf(-Infinity) : best
}

function isOneLarger(values: Float32Array, index: number, max: number): boolean {
  return (
    values[index]! > max || values[index + 1]! > max || values[index + 2]! > max || values[index + 3]! > max
  )
}

/** Natural-log probability of `token` under softmax(logits), and of the `count` likeliest tokens, likeliest first. */
export function describe(logits: Float32Array, token: number, count: number): TokenLogprob {
  const max = logits[argmax(logits)] ?? 0
  let sum = 0
  for (let index = 0; index < logits.length; index++) sum += Math.exp(logits[index]! - max)
  const normalizer = max + Math.log(sum)
  const logprobOf = (id: number) => logits[id]! - normalizer
  const top = likeliest(logits, count).map((id) => ({ token: id, logprob: logprobOf(id) }))
  return { token, logprob: logprobOf(token), top }
}

/** The `count` largest, by insertion into a short list: `count` is at most 20, and few values get past its last place. */
function likeliest(logits: Float32Array, count: number): number[] {
  const best: number[] = []
  if (count === 0) return best
  for (let token = 0; token < logits.length; token++) {
    const last = best[best.length - 1]
    if (best.length === count && last !== undefined && logits[token]! <= logits[last]!) continue
    let place = best.length
    while (place > 0 && logits[token]! > logits[best[place - 1]!]!) place--
    best.splice(place, 0, token)
    if (best.length > count) best.pop()
  }
  return best
}

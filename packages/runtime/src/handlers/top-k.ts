import type { Parameters } from './parameters.ts'

/** How many of the best: `topK`, 1 where nobody says it. */
export function topKOf(read: Parameters): number {
  return read.raw('topK') === 'all' ? Infinity : read.count('topK', 1)
}

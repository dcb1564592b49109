/** How much of a new value goes in: the last ten or so count. */
const SMOOTHING = 0.2

/** Exponential moving mean; `undefined` is the mean of nothing. */
export function runningMean(before: number | undefined, value: number): number {
  return before === undefined ? value : before + SMOOTHING * (value - before)
}

/** A token e^-40 times as likely as the best cannot be drawn: a draw has 53 random bits, and e^-40 < 2^-57. */
export const FARTHEST = 40
export const STEPS_PER_NAT = 64
/** Steps of distances up to `FARTHEST`, and one for what rounding puts beyond. */
export const NUM_STEPS = FARTHEST * STEPS_PER_NAT + 2

const AT_STEP = Float64Array.from({ length: NUM_STEPS }, (_, step) => Math.exp(-step / STEPS_PER_NAT))

/** Which step of 1/64 a distance is in. @param distance natural-log units behind the likeliest token, from 0 to `FARTHEST`. */
export function stepOf(distance: number): number {
  return (distance * STEPS_PER_NAT) | 0
}

/**
 * e^-distance as a float32: a table for the step, Taylor's series for the rest, which is below 1/64; so the error before
 * rounding is below 1e-11 of the value. `Math.exp` takes nearly three times as long, and a vocabulary may have 150,000 tokens.
 */
export function weightOf(distance: number): number {
  const step = stepOf(distance)
  const rest = step / STEPS_PER_NAT - distance
  const series = 1 + rest * (1 + rest * (1 / 2 + rest * (1 / 6 + rest / 24)))
  return Math.fround(AT_STEP[step]! * series)
}

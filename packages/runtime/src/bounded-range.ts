/** More numbers than any conversation has messages. */
const MOST_NUMBERS = 100_000

/** Jinja's `range`, for templates of strangers: the library's own fills the memory with as many numbers as it is told. Throws a `RangeError`. */
export function boundedRange(start: number, stop?: number | null, step = 1): number[] {
  const [first, end] = typeof stop === 'number' ? [start, stop] : [0, start]
  const count = Math.max(0, Math.ceil((end - first) / step))
  if (!(count <= MOST_NUMBERS))
    throw new RangeError(`range() of ${count} numbers; at most ${MOST_NUMBERS} are made`)
  return Array.from({ length: count }, (_, index) => first + index * step)
}

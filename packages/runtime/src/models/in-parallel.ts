/**
 * Gives results in the order of `items`, of which `width` are worked on at a time. When one fails, or the loop is left, the others are
 * stopped by their signal.
 */
export async function* inParallel<Item, Result>(
  items: readonly Item[],
  width: number,
  signal: AbortSignal,
  work: (item: Item, signal: AbortSignal) => Promise<Result>,
): AsyncGenerator<Result> {
  const stop = new AbortController()
  const both = AbortSignal.any([signal, stop.signal])
  const running: Promise<Result>[] = []
  let next = 0
  try {
    for (;;) {
      for (; running.length < width && next < items.length; next++) {
        const result = work(items[next] as Item, both)
        result.catch(() => {}) // heard of when its turn comes, or nobody waits any more
        running.push(result)
      }
      const first = running.shift()
      if (first === undefined) return
      yield await first
    }
  } finally {
    stop.abort()
  }
}

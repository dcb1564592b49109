/** Now, as events say it: milliseconds since the Unix epoch, on the clock that page and workers share. */
export function timeMs(): number {
  return performance.timeOrigin + performance.now()
}

/** Milliseconds that may be few: `0.4 ms`, `28 ms`, `1.2 s`. */
export function brief(ms: number): string {
  if (ms >= 1000) return `${(ms / 1000).toFixed(1)} s`
  return `${ms < 10 && ms !== 0 ? ms.toFixed(1) : Math.round(ms)} ms`
}

/** Bytes as people read them: `870 kB`, `4.2 MB`, `1.3 GB`. */
export function bytes(count: number): string {
  if (count < 1e6) return `${Math.round(count / 1e3)} kB`
  if (count < 1e9) return `${(count / 1e6).toFixed(count < 1e8 ? 1 : 0)} MB`
  return `${(count / 1e9).toFixed(1)} GB`
}

/** Milliseconds below a second, seconds above: `85 ms`, `12.4 s`. */
export function duration(ms: number): string {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`
}

/** A large count: `260 K`, `1.5 M`. */
export function count(value: number): string {
  return new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 }).format(value)
}

/** Tokens a second: one decimal while slow. */
export function rate(perSecond: number): string {
  return `${perSecond.toFixed(perSecond < 20 ? 1 : 0)} tokens/s`
}

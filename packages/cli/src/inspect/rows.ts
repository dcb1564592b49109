/** Titles and what stands beside them, one line each. */
export function rowsText(rows: readonly (readonly [title: string, value: string])[]): string {
  const width = Math.max(...rows.map(([title]) => title.length)) + 2
  return rows.map(([title, value]) => title.padEnd(width) + value).join('\n')
}

/** Binary units, as memory has them. */
export function sizeText(bytes: number): string {
  return bytes < 1024 ** 3 ? `${(bytes / 1024 ** 2).toFixed(1)} MiB` : `${(bytes / 1024 ** 3).toFixed(2)} GiB`
}

export function grouped(count: number): string {
  return count.toLocaleString('en-US')
}

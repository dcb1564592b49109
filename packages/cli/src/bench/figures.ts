/** What the page has measured. Times in milliseconds. */
export interface Figures {
  readonly model: string
  readonly runner: string
  readonly threads: number
  readonly browser: string
  /** From the call to the first answer's possible begin: download and start, then start from the browser's store. */
  readonly coldLoadMs: number
  readonly warmLoadMs: number
  readonly loadedBytes: number
  readonly firstToken: readonly { readonly promptTokens: number; readonly ms: number }[]
  /** Of one answer, after its first token. */
  readonly tokensPerSecond: number
  /** Of all answers at once together. */
  readonly together: { readonly answers: number; readonly tokensPerSecond: number }
}

export function figuresText(figures: Figures): string {
  const { model, runner, threads, browser, firstToken, together } = figures
  const rows: [string, string][] = [
    [
      'model',
      `${model}, ${(figures.loadedBytes / 1e6).toFixed(1)} MB, ${runner}, ${threads} thread(s), ${browser}`,
    ],
    [
      'load',
      `${figures.coldLoadMs.toFixed(0)} ms with its download, ${figures.warmLoadMs.toFixed(0)} ms from the store`,
    ],
    ...firstToken.map(({ promptTokens, ms }): [string, string] => [
      'first token',
      `${ms.toFixed(1)} ms after a prompt of ${promptTokens} tokens`,
    ]),
    ['one answer', `${figures.tokensPerSecond.toFixed(1)} tokens/s`],
    [`${together.answers} answers`, `${together.tokensPerSecond.toFixed(1)} tokens/s together`],
  ]
  return rows.map(([title, value]) => title.padEnd(14) + value).join('\n')
}

import type { GenerateOptions, Peer, Prompt } from './peers/peer.ts'

/** When the tokens of one call came, in milliseconds from its begin. */
export interface Arrivals {
  readonly firstMs: number
  readonly lastMs: number
  /** Of all prompts. */
  readonly numTokens: number
  /** Of the first prompt, a text a token. */
  readonly texts: readonly string[]
}

/** Asks an engine and looks at the clock. Throws when fewer tokens came than were asked for: such figures would be of something else. */
export async function timed(
  peer: Peer,
  prompts: readonly Prompt[],
  options: GenerateOptions,
): Promise<Arrivals> {
  let firstMs = 0
  let lastMs = 0
  let numTokens = 0
  const texts: string[] = []
  const began = performance.now()
  await peer.generate(prompts, options, (prompt, text) => {
    lastMs = performance.now() - began
    if (numTokens++ === 0) firstMs = lastMs
    if (prompt === 0) texts.push(text)
  })
  const wanted = prompts.length * options.maxTokens
  if (numTokens !== wanted) throw new Error(`${numTokens} tokens came, and ${wanted} were asked for`)
  return { firstMs, lastMs, numTokens, texts }
}

/** Ticks as often as a page may, until `stop`, which gives the longest that the page's thread kept it waiting. */
export function watchBlocking(): { stop(): number } {
  let longest = 0
  let last = performance.now()
  let timer = setTimeout(function tick() {
    const now = performance.now()
    longest = Math.max(longest, now - last)
    last = now
    timer = setTimeout(tick)
  })
  return {
    stop() {
      clearTimeout(timer)
      return Math.max(longest, performance.now() - last)
    },
  }
}

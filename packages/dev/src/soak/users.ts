import type { Session } from 'tabserve'

export interface UsersOptions {
  readonly model: string
  readonly numUsers: number
  readonly seconds: number
  /** Of arrivals: every run has the same ones. */
  readonly seed: number
}

/** What the users of one page have done and seen. */
export interface Visit {
  /** By kind. */
  readonly asked: Record<string, number>
  readonly ended: Record<string, number>
  numTokens: number
  /** Saves that the killed worker took along. */
  numCut: number
  /** Texts that were other than alone, and errors that nobody brought about. */
  readonly problems: string[]
  /** How often the page has told of the end of a request, by its id. */
  readonly ends: Record<string, number>
  /** When each of them began, in milliseconds of the page's life. */
  readonly begins: Record<string, number>
  /** What was done to them, and when. */
  readonly acts: string[]
}

declare global {
  interface Window {
    visit: Visit
    /** What is asked alone gives, by what is asked. */
    alone: Record<string, string>
    visitors: Promise<void>
  }
}

/**
 * In the page: begins `window.visitors`, people who ask `window.client`, each at random times, and compare every text with what it is alone. It
 * needs nothing but what is in it, as it is sent to the page as text.
 */
export function beginUsers({ model, numUsers, seconds, seed }: UsersOptions): void {
  const PROMPTS = ['Once upon a time', 'Tom had a red ball', 'The dog was sad', 'Lily went to the park']
  const TURNS = [' One day', ' Then', ' At the end']
  const { client, visit } = window
  const alone = (window.alone ??= {})
  const until = performance.now() + seconds * 1000
  let state = seed
  const random = () => (state = (Math.imul(state, 1664525) + 1013904223) >>> 0) / 2 ** 32
  const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms))
  const greedy = { temperature: 0, ignoreEos: true, maxTokens: 40 } as const
  const compare = (what: string, text: string, isWhole: boolean) => {
    const wanted = (alone[what] ??= text)
    const isSame = isWhole ? text === wanted : wanted.startsWith(text)
    if (!isSame) visit.problems.push(`${what}: ${JSON.stringify(text)} is not ${JSON.stringify(wanted)}`)
  }
  const whole = async (prompt: string) => {
    const { text, usage } = await client.generate({ model, prompt, ...greedy })
    visit.numTokens += usage.completionTokens
    compare(prompt, text, true)
  }
  const held = async (prompt: string) => {
    const structuredOutputs = { regex: '[A-Z][a-z]{2,6}, [0-9]{2}(am|pm)' }
    const { text } = await client.generate({
      model,
      prompt,
      temperature: 0,
      maxTokens: 40,
      structuredOutputs,
    })
    compare(`${prompt}, held`, text, true)
  }
  const talk = async (prompt: string, session: Session, turns: readonly string[]) => {
    let text = ''
    for (const turn of turns) text += turn + (await session.generate(turn, { maxTokens: 12 })).text
    compare(`${prompt}, ${turns.length} turns from ${turns[0]}`, text, true)
  }
  const isLost = (error: unknown) => (error as { code?: string }).code === 'engine_lost'
  const inSession = async (opening: Promise<Session>, use: (session: Session) => Promise<void>) => {
    const session = await opening
    try {
      await use(session)
    } finally {
      session.destroy()
    }
  }
  const open = () => client.session({ model, temperature: 0, ignoreEos: true })
  const conversation = (prompt: string) =>
    inSession(open(), (session) => talk(prompt, session, [prompt, ...TURNS]))
  let numSaved = 0
  const saved = async (prompt: string) => {
    const name = `soak ${seed} ${numSaved++}`
    try {
      await inSession(open(), async (session) => {
        await talk(prompt, session, [prompt])
        await session.save(name)
      })
      await inSession(client.sessions.restore(name), (session) => talk(`${prompt}, restored`, session, TURNS))
    } catch (error) {
      // The KV that a save was to keep died with its worker.
      if (!isLost(error)) throw error
      visit.numCut++
    } finally {
      await client.sessions.delete(name)
    }
  }
  const aborted = async (prompt: string) => {
    const abort = new AbortController()
    const stream = client.generate({ model, prompt, ...greedy, signal: abort.signal })
    let numLeft = Math.floor(random() * 30)
    for await (const _ of stream) if (numLeft-- === 0) abort.abort()
    compare(prompt, (await stream).text, false)
  }
  const left = async (prompt: string) => {
    const stream = client.generate({ model, prompt, ...greedy })
    let numLeft = Math.floor(random() * 30)
    for await (const _ of stream) if (numLeft-- === 0) break
    compare(prompt, (await stream).text, false)
  }
  const KINDS = { whole, held, conversation, aborted, left, saved }
  const ask = async (kind: keyof typeof KINDS, prompt: string) => {
    visit.asked[kind] = (visit.asked[kind] ?? 0) + 1
    try {
      await KINDS[kind](prompt)
    } catch (error) {
      visit.problems.push(`${kind}: ${String(error)}`)
    } finally {
      visit.ended[kind] = (visit.ended[kind] ?? 0) + 1
    }
  }
  const user = async () => {
    const kinds = Object.keys(KINDS) as (keyof typeof KINDS)[]
    for (;;) {
      const idleMs = -Math.log(1 - random()) * 500
      if (performance.now() + idleMs > until) return
      await pause(idleMs)
      const kind = kinds[Math.floor(random() * kinds.length)] ?? 'whole'
      await ask(kind, PROMPTS[Math.floor(random() * PROMPTS.length)] ?? '')
    }
  }
  const oneByOne = async () => {
    for (const prompt of PROMPTS) {
      await ask('whole', prompt)
      await ask('held', prompt)
      await ask('conversation', prompt)
      await ask('saved', prompt)
    }
  }
  const everybody = async () => void (await Promise.all(Array.from({ length: numUsers }, user)))
  window.visitors = numUsers === 0 ? oneByOne() : everybody()
  window.visitors.catch(() => {}) // whoever waits for them hears of it
}

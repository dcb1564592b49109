import { expect, test } from 'playwright/test'
import type { Cancel } from '../../packages/engine/src/served.ts'
import { Random } from '../../packages/engine/src/random.ts'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { prompt, startEngine, tokensOf } from './fake-engine.ts'
import { continuation } from './fake-runner.ts'

const OPERATIONS = 10_000
const MAX_CONTEXT = 96
const KINDS = {
  rows: { batchedPrefill: true },
  // Hardly more than one context: blocks run out all the time.
  blocks: { mixed: true, paged: { numBlocks: 18, blockTokens: 8 } },
}

for (const [name, kind] of Object.entries(KINDS)) {
  test(`${name}: ten thousand random submits, aborts, forks and evictions: no leak, no KV in two hands, sessions whole, one last word each`, async () => {
    const random = new Random(42)
    const below = (limit: number) => Math.floor(random.next() * limit)
    const { engine, runner } = startEngine(
      { maxRows: 5, maxContext: MAX_CONTEXT, maxTokensPerStep: 24, ...kind },
      { maxWaiting: 40, speculation: 'auto' },
    )
    runner.cost = ({ runs }) => 1 + runs.length / 8
    const systems = [0, 1, 2, 3].map((seed) =>
      Array.from({ length: 20 + 9 * seed }, (_, index) => (index * 5 + seed) % 64),
    )
    const live = new Map<RequestEvent[], Cancel>()
    const problems: string[] = []
    const seen: number[][] = []
    const texts = new Map<string, number[]>()
    let numAsked = 0
    let numRefused = 0
    let numCompared = 0
    let numRead = 0

    function ask(): void {
      const system = systems[below(systems.length)] ?? []
      const earlier = seen[below(seen.length || 1)] ?? []
      const begin = random.next() < 0.3 && earlier.length < MAX_CONTEXT - 40 ? earlier : system
      const tokens = [
        ...begin.slice(0, below(begin.length + 1)),
        ...Array.from({ length: 1 + below(20) }, () => below(64)),
      ]
      const maxTokens = below(21)
      const n = random.next() < 0.1 ? 1 + below(4) : 1
      const events: RequestEvent[] = []
      const asked = {
        tokens,
        maxTokens,
        n,
        ...(n === 1 && random.next() < 0.4 ? { session: `session ${below(4)}` } : {}),
        priority: below(3),
        preempt: random.next() < 0.2,
        cacheSalt: random.next() < 0.1 ? 'salt' : '',
        readPrefixCache: random.next() < 0.95,
        ...(random.next() < 0.05 ? { timeoutMs: 1 + below(60) } : {}),
        ...(random.next() < 0.05 ? { admission: 'immediate' as const } : {}),
      }
      numAsked++
      try {
        const cancel = engine.submit(prompt(asked), (event) => {
          if (events.at(-1) !== undefined && events.at(-1)?.type !== 'delta')
            problems.push('a word after the last one')
          events.push(event)
          if (event.type === 'delta' || event.type === 'result') return
          live.delete(events)
          if (event.type === 'error') {
            if (event.error.code !== 'timeout' && event.error.message !== 'the pass failed')
              problems.push(event.error.message)
            return
          }
          for (let choice = 0; choice < n; choice++) {
            const found = tokensOf(events, choice)
            const wanted = continuation(tokens, found.length)
            if (found.join() !== wanted.join()) problems.push(`${tokens.join()} gave ${found.join()}`)
            if (event.choices[choice]?.reason === 'length' && found.length !== maxTokens)
              problems.push('too short')
            numCompared += found.length
          }
          seen.push([...tokens, ...tokensOf(events)])
          if ('session' in asked) texts.set(asked.session, [...tokens, ...tokensOf(events)])
          if (seen.length > 30) seen.shift()
        })
        live.set(events, cancel)
      } catch (error) {
        if ((error as { code?: string }).code !== 'queue_full') throw error
        numRefused++
      }
    }

    /** What a session keeps goes to another, or comes back from a copy of a text that was read somewhere. */
    async function move(): Promise<void> {
      const [from, to] = [`session ${below(4)}`, `session ${below(4)}`]
      const dice = random.next()
      if (dice < 0.3) return engine.shareSession(from, to)
      if (dice < 0.4) return engine.releaseSession(from)
      const tokens = seen[below(seen.length || 1)] ?? []
      if (dice < 0.6 && tokens.length > 0) {
        const bytes = new Uint8Array(Int32Array.from(tokens).buffer)
        return engine.writeSession(to, '', { tokens, layout: engine.kvLayout, bytes })
      }
      const text = texts.get(from) ?? []
      const read = await engine.readSession(from, text)
      if (read === undefined) return
      numRead++
      const found = [...new Int32Array(read.bytes.buffer)]
      if (found.join() !== text.slice(0, read.tokens.length).join())
        problems.push('KV of another text was read')
    }

    for (let operation = 0; operation < OPERATIONS; operation++) {
      const dice = random.next()
      // Busy and quiet times: a draft needs an answer that is alone.
      if (dice < (operation % 2000 < 1600 ? 0.3 : 0.02)) ask()
      else if (dice > 0.3 && dice < 0.36) [...live.values()][below(live.size || 1)]?.()
      else if (dice > 0.36 && dice < 0.362) engine.resetPrefixCache()
      else if (dice > 0.362 && dice < 0.364) runner.failAt = runner.steps.length + 1
      else if (dice > 0.364 && dice < 0.4) void move()
      else await new Promise((resolve) => setImmediate(resolve))
      engine.check()
    }
    for (let turn = 0; live.size > 0 && turn < 20_000; turn++)
      await new Promise((resolve) => setImmediate(resolve))
    engine.check()

    expect(problems).toEqual([])
    expect(live.size).toBe(0)
    const { running, waiting, finished, failed, refused, preemptions, cachedTokens, steps, blocks } =
      engine.stats()
    expect({ running, waiting, refused }).toEqual({ running: 0, waiting: 0, refused: numRefused })
    if (blocks !== undefined) {
      expect(blocks).toMatchObject({ total: 18, used: 0 })
      expect(blocks.copied).toBeGreaterThan(0)
      expect(steps.mixed).toBeGreaterThan(0)
    }
    // The fuzz is worth something only if it went everywhere.
    expect(numAsked).toBeGreaterThan(2000)
    expect(numCompared).toBeGreaterThan(5000)
    expect(numRead).toBeGreaterThan(2)
    for (const count of [
      finished.length,
      finished.abort,
      finished.timeout,
      failed,
      preemptions,
      cachedTokens,
      steps.verify,
    ])
      expect(count).toBeGreaterThan(0)
  })
}

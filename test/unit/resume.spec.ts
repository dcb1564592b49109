import { expect, test } from 'playwright/test'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import type { Asked } from './fake-engine.ts'
import { lastOf, startEngine, tokensOf } from './fake-engine.ts'

const PAGED = { mixed: true, paged: { blockTokens: 4, numBlocks: 40 }, maxRows: 4 }

/** What an answer says in one engine, and what it says when it is cut after each of its deltas and resumed in another. */
async function cutEverywhere(asked: Asked, capabilities = {}): Promise<void> {
  const whole = await startEngine(capabilities).ask(asked)
  const deltas = whole.filter(({ type }) => type === 'delta')
  for (let cut = 0; cut < deltas.length; cut++) {
    const before = deltas.slice(0, cut)
    const resume = Array.from({ length: asked.n ?? 1 }, (_, choice) => ({ tokens: tokensOf(before, choice) }))
    const after = await startEngine(capabilities).ask({ ...asked, resume })
    for (let choice = 0; choice < (asked.n ?? 1); choice++) {
      expect([...tokensOf(before, choice), ...tokensOf(after, choice)]).toEqual(tokensOf(whole, choice))
      expect(textOf(before, choice) + textOf(after, choice)).toBe(textOf(whole, choice))
    }
    expect(endOf(after)).toEqual(endOf(whole))
  }
}

test('a greedy answer that is resumed says what it would have said', async () => {
  await cutEverywhere({ tokens: [1, 2, 3, 4, 5], maxTokens: 12 })
  await cutEverywhere({ tokens: [1, 2, 3, 4, 5], maxTokens: 12 }, PAGED)
})

test('a seeded answer that is resumed draws on from where its random stream was', async () => {
  await cutEverywhere({ tokens: [3, 1], maxTokens: 12, temperature: 1.5, seed: 11 })
  await cutEverywhere({ tokens: [3, 1], maxTokens: 8, temperature: 1.5, seed: 11, n: 3 }, PAGED)
})

test('penalties count what was said before the cut', async () => {
  await cutEverywhere({
    tokens: [3, 1],
    maxTokens: 14,
    temperature: 1,
    seed: 2,
    frequencyPenalty: 2,
    topK: 4,
  })
})

test('text that was held back for a stop string is held back again', async () => {
  const { ask } = startEngine()
  const [first = -1, second = -1, third = -1] = tokensOf(await ask({ tokens: [1, 1], maxTokens: 3 }))
  await cutEverywhere({ tokens: [1, 1], stop: `<${first}><${second}><${third}>`, maxTokens: 9 })
  await cutEverywhere({ tokens: [1, 1], stop: `<${second}><${third}>!`, maxTokens: 9 })
})

test('an answer that dropped its oldest tokens goes on with what was left', async () => {
  await cutEverywhere({ tokens: [1, 2, 3], maxTokens: 60, contextOverflow: 'truncate-start' })
  await cutEverywhere({ tokens: [1, 2, 3], maxTokens: 60, contextOverflow: 'truncate-start' }, PAGED)
})

test('an answer that had said everything but its last word ends without another token', async () => {
  const { ask, runner } = startEngine()
  const tokens = tokensOf(await ask({ tokens: [1, 1], maxTokens: 4 }))
  const numSteps = runner.steps.length
  const events = await ask({ tokens: [1, 1], maxTokens: 4, resume: [{ tokens }] })
  expect(events).toMatchObject([
    { type: 'finish', choices: [{ reason: 'length' }], usage: { promptTokens: 2, completionTokens: 4 } },
  ])
  expect(runner.steps).toHaveLength(numSteps)
})

function textOf(events: readonly RequestEvent[], choice: number): string {
  return events.map((event) => (event.type === 'delta' && event.choice === choice ? event.text : '')).join('')
}

function endOf(events: readonly RequestEvent[]): unknown {
  const last = lastOf(events)
  if (last.type !== 'finish') return last
  const { promptTokens, completionTokens } = last.usage
  return { choices: last.choices, promptTokens, completionTokens }
}

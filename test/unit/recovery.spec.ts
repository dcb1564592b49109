import { expect, test } from 'playwright/test'
import { EngineError } from '../../packages/protocol/src/index.ts'
import { lastOf, startEngine, tokensOf } from './fake-engine.ts'
import { FakeRunner, continuation } from './fake-runner.ts'

const ROWS = { maxRows: 4, batchedPrefill: true }
const BLOCKS = { maxRows: 4, mixed: true, paged: { numBlocks: 16, blockTokens: 8 } }
const PROMPTS = [[1], [2, 3], [4, 5, 6], [7, 1, 9, 10]]

for (const [name, next] of Object.entries({ rows: ROWS, blocks: BLOCKS })) {
  test(`when the device goes in mid-step, every answer ends as if nothing had happened, on KV in ${name}`, async () => {
    const { runner, engine, ask } = startEngine(ROWS, {}, async () => new FakeRunner(next))
    runner.loseAt = 9
    const answers = await Promise.all(PROMPTS.map((tokens) => ask({ tokens, maxTokens: 12 })))
    answers.forEach((events, index) => {
      expect(tokensOf(events)).toEqual(continuation(PROMPTS[index]!, 12))
      expect(lastOf(events)).toMatchObject({ type: 'finish', usage: { completionTokens: 12 } })
    })
    engine.check()
    expect(engine.stats()).toMatchObject({ losses: 1, running: 0, waiting: 0, preemptions: 4 })
  })
}

test('ten losses in a row are survived as long as somebody gives another runner; then all end in one typed error, and so do new requests', async () => {
  let losses = 0
  const replace = async () => {
    if (++losses > 10) throw new EngineError('device_lost', 'nothing is left to run on')
    const runner = new FakeRunner(ROWS)
    runner.loseAt = 3
    return runner
  }
  const { runner, engine, ask } = startEngine(ROWS, {}, replace)
  runner.loseAt = 3
  const answers = await Promise.all(PROMPTS.map((tokens) => ask({ tokens, maxTokens: 25 })))
  for (const events of answers) {
    expect(lastOf(events)).toEqual({
      type: 'error',
      error: { code: 'device_lost', message: 'nothing is left to run on' },
    })
    expect(events.filter(({ type }) => type === 'error')).toHaveLength(1)
  }
  expect(engine.stats()).toMatchObject({ losses: 11, running: 0, waiting: 0 })
  await expect(ask({ tokens: [1] })).rejects.toMatchObject({ code: 'device_lost' })
})

test('a request that comes or is cancelled while the runner is replaced is treated like any other', async () => {
  let give = (_: FakeRunner) => {}
  const { runner, engine, ask, settled } = startEngine(
    ROWS,
    {},
    () => new Promise<FakeRunner>((resolve) => (give = resolve)),
  )
  runner.loseAt = 2
  const before = ask({ tokens: [1], maxTokens: 5 })
  await settled()
  const during = ask({ tokens: [2], maxTokens: 5 })
  give(new FakeRunner(ROWS))
  expect(tokensOf(await before)).toEqual(continuation([1], 5))
  expect(tokensOf(await during)).toEqual(continuation([2], 5))
  engine.check()
})

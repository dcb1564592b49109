import { expect, test } from 'playwright/test'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { lastOf, prompt, startEngine, tokensOf } from './fake-engine.ts'
import { continuation } from './fake-runner.ts'

test('a prompt is read in chunks, and logits are asked for its last token only', async () => {
  const { runner, ask } = startEngine()
  const events = await ask({ tokens: [1, 2, 3, 4, 5, 6, 7, 8, 9], maxTokens: 2 })
  expect(runner.steps.map(({ runs: [run] }) => [run?.from, run?.tokens.length, run?.wantLogits])).toEqual([
    [0, 4, 'none'],
    [4, 4, 'none'],
    [8, 1, 'last'],
    [9, 1, 'last'],
  ])
  expect(tokensOf(events)).toEqual(continuation([1, 2, 3, 4, 5, 6, 7, 8, 9], 2))
})

test('every request ends in exactly one last word, whatever ends it', async () => {
  const { ask } = startEngine()
  const [, second = -1] = continuation([1, 1], 2)
  for (const events of [
    await ask({ tokens: [1], maxTokens: 3 }),
    await ask({ tokens: [1, 1], stopTokenIds: [second] }),
    await ask({ tokens: [1, 1], stop: `<${second}>` }),
    await ask({ tokens: [1] }),
  ]) {
    expect(events.filter(({ type }) => type !== 'delta')).toHaveLength(1)
    expect(events.at(-1)?.type).toBe('finish')
  }
})

test('a stop token is counted and not said', async () => {
  const { ask } = startEngine()
  const [first, second = -1] = continuation([1, 1], 2)
  const events = await ask({ tokens: [1, 1], stopTokenIds: [second] })
  expect(tokensOf(events)).toEqual([first])
  expect(lastOf(events)).toMatchObject({
    choices: [{ reason: 'stop', stop: second }],
    usage: { promptTokens: 2, completionTokens: 2 },
  })
})

test('generation ends with length at the end of the context', async () => {
  const { ask } = startEngine()
  const events = await ask({ tokens: [1] })
  expect(events.at(-1)).toMatchObject({ choices: [{ reason: 'length' }], usage: { completionTokens: 31 } })
})

test('a prompt that leaves no room, or is empty, is refused at the door', () => {
  const { engine } = startEngine()
  const submit = (tokens: number[]) => () => engine.submit(prompt({ tokens }), () => {})
  expect(submit([])).toThrow(expect.objectContaining({ code: 'bad_request' }))
  expect(submit(new Array(32).fill(1))).toThrow(expect.objectContaining({ code: 'context_overflow' }))
  expect(submit(new Array(31).fill(1))).not.toThrow()
})

test('a cancelled request says abort once, and nothing is computed for it afterwards', async () => {
  const { runner, engine, settled } = startEngine()
  const events: RequestEvent[] = []
  const cancel = engine.submit(prompt({ tokens: [1] }), (event) => {
    if (events.push(event) === 3) cancel()
  })
  await settled()
  cancel()
  expect(events.map(({ type }) => type)).toEqual(['delta', 'delta', 'delta', 'finish'])
  expect(events.at(-1)).toMatchObject({ choices: [{ reason: 'abort' }] })
  expect(runner.steps).toHaveLength(3)
})

test('a request cancelled while its step runs hears nothing of that step', async () => {
  const { runner, engine, settled } = startEngine()
  const events: RequestEvent[] = []
  const run = runner.run.bind(runner)
  runner.run = (step) => {
    cancel()
    return run(step)
  }
  const cancel = engine.submit(prompt({ tokens: [1] }), (event) => events.push(event))
  await settled()
  expect(events).toMatchObject([
    { type: 'finish', choices: [{ reason: 'abort' }], usage: { completionTokens: 0 } },
  ])
})

test('a failed pass ends the requests in it and no others', async () => {
  const { runner, ask } = startEngine()
  runner.failAt = 2
  const [first, second] = await Promise.all([ask({ tokens: [1] }), ask({ tokens: [2], maxTokens: 2 })])
  expect(first.at(-1)).toMatchObject({
    type: 'error',
    error: { code: 'backend_failed', message: 'the pass failed' },
  })
  expect(tokensOf(second)).toEqual(continuation([2], 2))
  expect(tokensOf(await ask({ tokens: [3], maxTokens: 1 }))).toEqual(continuation([3], 1))
})

test('requests are answered in the order in which they came', async () => {
  const { engine, settled } = startEngine()
  const order: number[] = []
  for (const name of [1, 2, 3]) {
    engine.submit(
      prompt({ tokens: [name], maxTokens: 4 - name }),
      ({ type }) => type === 'finish' && order.push(name),
    )
  }
  await settled()
  expect(order).toEqual([1, 2, 3])
})

test('disposing ends what runs and what waits with the given error', async () => {
  const { engine, ask } = startEngine()
  const running = [ask({ tokens: [1] }), ask({ tokens: [2] })]
  await engine.dispose({ code: 'engine_lost', message: 'unloaded' })
  for (const events of await Promise.all(running)) {
    expect(events.at(-1)).toEqual({ type: 'error', error: { code: 'engine_lost', message: 'unloaded' } })
  }
})

test('what is asked of an engine that was disposed of fails with the same error, also the KV of a session', async () => {
  const { engine } = startEngine()
  const kv = { tokens: [1], layout: engine.kvLayout, bytes: new Uint8Array(4) }
  await engine.dispose({ code: 'engine_lost', message: 'unloaded' })
  const gone = { code: 'engine_lost', message: 'unloaded' }
  expect(() => engine.submit(prompt({ tokens: [1] }), () => {})).toThrow('unloaded')
  await expect(engine.readSession('a', [1])).rejects.toMatchObject(gone)
  await expect(engine.writeSession('a', '', kv)).rejects.toMatchObject(gone)
})

import { expect, test } from 'playwright/test'
import { ReleaseOrder } from '../../packages/engine/src/index.ts'
import { FakeGraph } from './fake-graph.ts'

const DECLARED = { batchDimension: 'rows' } as const

test('requests that come within the delay are one run', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxQueueDelayMs: 50 } })
  const asked = [graph.ask([1, 2])]
  await graph.clock.advance(20)
  asked.push(graph.ask([3, 4]), graph.ask([5, 6]))
  await graph.clock.advance(100)
  expect(graph.runs).toEqual([{ rows: 3, at: 50 }])
  expect(asked.map(({ answer }) => answer?.sum)).toEqual([6, 14, 22])
  expect(asked[0]?.batchSize).toBe(3)
})

test('a preferred size goes at once, what is left waits for its delay', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, preferredBatchSizes: [4, 8], maxQueueDelayMs: 50 } })
  for (let index = 0; index < 5; index++) graph.ask([index])
  await graph.clock.advance(100)
  expect(graph.runs).toEqual([
    { rows: 4, at: 0 },
    { rows: 1, at: 50 },
  ])
})

test('without a delay, what came during a run is the next one; none is larger than may be', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxBatchSize: 4 } })
  graph.ask([0])
  await graph.clock.advance(5)
  for (let index = 0; index < 6; index++) graph.ask([index])
  await graph.clock.advance(100)
  expect(graph.runs.map(({ rows }) => rows)).toEqual([1, 4, 2])
})

test('a lower priority goes first, also when it came later', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxBatchSize: 1 } })
  graph.ask([0])
  await graph.clock.advance(5)
  const [late, urgent] = [graph.ask([1], { priority: 2 }), graph.ask([2], { priority: 1 })]
  await graph.clock.advance(100)
  expect([urgent.at, late.at]).toEqual([20, 30])
})

test('a full queue refuses, each priority by its own policy', async () => {
  const priorityQueues = { 1: { maxSize: 2 } }
  const graph = new FakeGraph({ batching: { ...DECLARED, maxBatchSize: 1, priorityQueues } })
  const asked = [0, 0, 0, 1].map((value) => graph.ask([value], { priority: 1 }))
  graph.ask([5])
  await graph.clock.advance(100)
  expect(asked[3]?.error).toMatchObject({ code: 'queue_full' })
  expect(asked[2]?.error).toMatchObject({ code: 'queue_full' })
  expect(graph.runs).toHaveLength(3)
})

test('who has waited too long is rejected then, and a request may only shorten that', async () => {
  const queue = { timeoutMs: 25 }
  const graph = new FakeGraph({
    batching: { ...DECLARED, maxBatchSize: 1, queue, maxQueueDelayMs: 0 },
    cost: () => 20,
  })
  graph.ask([0])
  await graph.clock.advance(1)
  const [long, short, none] = [
    graph.ask([1], { timeoutMs: 1000 }),
    graph.ask([2], { timeoutMs: 10 }),
    graph.ask([3]),
  ]
  await graph.clock.advance(100)
  expect(long.answer?.sum).toBe(2)
  expect(short.error).toMatchObject({ code: 'timeout' })
  expect(none.error).toMatchObject({ code: 'timeout' })
  expect(graph.counters.timedOut).toBe(2)
})

test('with the action delay the late are served behind those that are not', async () => {
  const queue = { timeoutMs: 5, timeoutAction: 'delay' } as const
  const graph = new FakeGraph({ batching: { ...DECLARED, maxBatchSize: 1, queue }, cost: () => 20 })
  graph.ask([0])
  await graph.clock.advance(1)
  const late = graph.ask([1])
  await graph.clock.advance(17)
  const fresh = graph.ask([2])
  await graph.clock.advance(100)
  expect([fresh.at, late.at]).toEqual([40, 60])
})

test('a run that fails is tried row by row, and only the guilty fails', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxQueueDelayMs: 10 } })
  const asked = [[1], [NaN], [3]].map((values) => graph.ask(values))
  await graph.clock.advance(200)
  expect(asked.map(({ answer }) => answer?.sum)).toEqual([2, undefined, 6])
  expect(asked[1]?.error).toMatchObject({ code: 'backend_failed', message: 'not a number' })
  expect(graph.counters.retriedAlone).toBe(3)
  expect(graph.engine.problem).toBeUndefined()
})

test('rows of different lengths are filled up behind a mask, and come back at their own', async () => {
  const graph = new FakeGraph({ batching: { maxQueueDelayMs: 10 } })
  const asked = [[1, 2, 3], [4], [5, 6]].map((values) => graph.ask(values))
  await graph.clock.advance(100)
  // The first batch is compared with its most filled-up row alone.
  expect(graph.runs.map(({ rows }) => rows)).toEqual([3, 1])
  expect(asked.map(({ answer }) => answer)).toEqual([
    { doubled: [2, 4, 6], sum: 12 },
    { doubled: [8], sum: 8 },
    { doubled: [10, 12], sum: 22 },
  ])
})

test('rows of different lengths go apart where nothing may be filled up, or lengths lie in other buckets', async () => {
  const apart = new FakeGraph({ batching: { ...DECLARED, padding: false, maxQueueDelayMs: 10 } })
  for (const values of [[1, 2], [3], [4, 5]]) apart.ask(values)
  await apart.clock.advance(100)
  expect(apart.runs.map(({ rows }) => rows).sort()).toEqual([1, 2])
  const padding = { dimension: 'length', buckets: [2, 4] }
  const bucketed = new FakeGraph({ batching: { ...DECLARED, padding, maxQueueDelayMs: 10 } })
  for (const values of [[1], [1, 2], [1, 2, 3], [1, 2, 3, 4]]) bucketed.ask(values)
  await bucketed.clock.advance(100)
  expect(bucketed.runs.map(({ rows }) => rows)).toEqual([2, 2])
})

test('a hook says who may join; one that throws lets nobody', async () => {
  const mostTokens = 6
  const graph = new FakeGraph({
    batching: { ...DECLARED, maxQueueDelayMs: 10 },
    canBatch: (item, batch) =>
      [...batch, item].reduce((sum, { inputs }) => sum + (inputs['x']?.data.length ?? 0), 0) <= mostTokens,
  })
  for (let index = 0; index < 5; index++) graph.ask([1, 2])
  await graph.clock.advance(100)
  expect(graph.runs.map(({ rows }) => rows)).toEqual([3, 2])
  const broken = new FakeGraph({
    batching: { ...DECLARED, canBatch: 'mine', maxQueueDelayMs: 10 },
    canBatch: () => {
      throw new Error('a bug')
    },
  })
  const asked = [broken.ask([1]), broken.ask([2])]
  await broken.clock.advance(100)
  expect(asked.map(({ answer }) => answer?.sum)).toEqual([2, 4])
  expect(broken.engine.problem).toContain('the hook mine threw: Error: a bug')
})

test('a graph whose rows look at each other is found out in its first batch, and nobody gets a wrong answer', async () => {
  const graph = new FakeGraph({ batching: { maxQueueDelayMs: 10 }, mixesRows: true })
  const asked = [[1], [2], [4]].map((values) => graph.ask(values))
  await graph.clock.advance(100)
  const later = [graph.ask([8]), graph.ask([16])]
  await graph.clock.advance(100)
  expect([...asked, ...later].map(({ answer }) => answer?.sum)).toEqual([2, 4, 8, 16, 32])
  expect(later[0]?.batchSize).toBe(1)
  expect(graph.engine.problem).toContain('one after the other')
})

test('batching is left where rows together cost more, and stays where they cost less', async () => {
  const work = async (cost: (rows: number) => number) => {
    const graph = new FakeGraph({ batching: { ...DECLARED, maxBatchSize: 8 }, cost })
    const asked = Array.from({ length: 400 }, (_, index) => graph.ask([index]))
    await graph.clock.advance(100_000)
    expect(asked.every(({ answer }, index) => answer?.sum === 2 * index)).toBe(true)
    return { ms: Math.max(...asked.map(({ at }) => at ?? Infinity)), runs: graph.runs.length }
  }
  const loses = await work((rows) => 10 * rows ** 1.3)
  expect(loses.ms).toBeLessThan(1.1 * 400 * 10)
  const wins = await work((rows) => 10 + rows)
  expect(wins.ms).toBeLessThan(0.3 * 400 * 11)
})

test('who gives up while waiting is not computed', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxQueueDelayMs: 10 } })
  const abort = new AbortController()
  const [one, other] = [graph.ask([1], { signal: abort.signal }), graph.ask([2])]
  abort.abort()
  await graph.clock.advance(100)
  expect(one.error).toMatchObject({ code: 'aborted' })
  expect(other.batchSize).toBe(1)
})

test('who waits when the model goes ends with engine_lost, and so does who comes then', async () => {
  const graph = new FakeGraph({ batching: { ...DECLARED, maxQueueDelayMs: 10 } })
  const waiting = graph.ask([1])
  graph.engine.dispose()
  const late = graph.ask([2])
  await graph.clock.advance(100)
  expect([waiting.error, late.error]).toMatchObject([{ code: 'engine_lost' }, { code: 'engine_lost' }])
  expect(graph.runs).toEqual([])
})

test('answers leave in the order of their requests', () => {
  const order = new ReleaseOrder()
  const said: string[] = []
  const [first, second, third] = [order.ticket(), order.ticket(), order.ticket()]
  second(() => said.push('second'))
  expect(said).toEqual([])
  first(() => said.push('first'))
  third(() => said.push('third'))
  expect(said).toEqual(['first', 'second', 'third'])
})

test('where order is kept, no batch reaches over a request of another kind', async () => {
  const padding = false
  const options = { ...DECLARED, padding, preserveOrdering: true, maxQueueDelayMs: 10 } as const
  const graph = new FakeGraph({ batching: options })
  for (const values of [[1], [2, 3], [4]]) graph.ask(values)
  await graph.clock.advance(100)
  expect(graph.runs.map(({ rows }) => rows)).toEqual([1, 1, 1])
})

import { expect, test } from 'playwright/test'
import { AFFINITY_SLACK, chooseReplica } from '../../packages/client/src/control/route.ts'
import { Heartbeat } from '../../packages/client/src/hub/heartbeat.ts'
import { memoryShare } from '../../packages/client/src/hub/memory-share.ts'
import { PrefixHomes, beginningsOf } from '../../packages/client/src/hub/prefix-homes.ts'
import { withoutWait } from '../../packages/client/src/hub/request-deadline.ts'
import { refuseReplicasOnGpu, resolveScaling } from '../../packages/client/src/hub/resolve-scaling.ts'
import { RestartPolicy } from '../../packages/client/src/hub/restart-policy.ts'
import { Scaler } from '../../packages/client/src/hub/scaler.ts'
import { countersOf, emptyStats, sumStats } from '../../packages/client/src/hub/sum-stats.ts'
import { threadsPerReplica } from '../../packages/client/src/hub/threads.ts'
import { resolveSleep } from '../../packages/protocol/src/index.ts'

test('a request goes to the shortest queue, of equal ones to the first', () => {
  expect(chooseReplica([3, 1, 2])).toBe(1)
  expect(chooseReplica([2, 2])).toBe(0)
  expect(() => chooseReplica([])).toThrow()
})

test('a conversation stays where its beginning lies until the queue there is much longer', () => {
  expect(chooseReplica([AFFINITY_SLACK, 0], 0)).toBe(0)
  expect(chooseReplica([AFFINITY_SLACK + 1, 0], 0)).toBe(1)
  expect(chooseReplica([5, 4], 7)).toBe(1) // a replica that is gone
})

test('the longest beginning that is known says where a prompt goes', () => {
  const homes = new PrefixHomes<string>()
  const turn = (...texts: string[]) =>
    beginningsOf({
      task: 'generate',
      model: 'm',
      messages: texts.map((content, index) => ({ role: index % 2 ? 'assistant' : 'user', content })),
    })
  homes.remember(turn('hello'), 'first')
  homes.remember(turn('hello', 'hi', 'a cat'), 'second')
  expect(homes.find(turn('hello', 'hi', 'a cat', 'miau', 'and a dog'))).toBe('second')
  expect(homes.find(turn('good day'))).toBeUndefined()
  expect(homes.find(turn('hi', 'hello'))).toBeUndefined()
  homes.forget('second')
  expect(homes.find(turn('hello', 'hi', 'a cat'))).toBeUndefined()
})

test('beginnings of another salt are others, and a wrong request has none', () => {
  const promptTokens = Array.from({ length: 100 }, (_, index) => index)
  const request = { task: 'generate', model: 'm', promptTokens } as const
  expect(beginningsOf(request)).toHaveLength(3)
  expect(beginningsOf({ ...request, promptTokens: promptTokens.slice(0, 64) })).toEqual(
    beginningsOf(request).slice(0, 2),
  )
  expect(beginningsOf({ ...request, cacheSalt: 'x' })).not.toEqual(beginningsOf(request))
  for (const wrong of [{ prompt: 7 }, { messages: [null] }, {}])
    expect(() => beginningsOf({ task: 'generate', model: 'm', ...wrong } as never)).not.toThrow()
})

test('a worker is started again after 0, 1, 1, 2, 3 seconds and then not any more; success starts anew', () => {
  const policy = new RestartPolicy()
  const delays = () => Array.from({ length: 6 }, () => policy.died())
  expect(delays()).toEqual([0, 1000, 1000, 2000, 3000, undefined])
  policy.succeeded()
  expect(delays()).toEqual([0, 1000, 1000, 2000, 3000, undefined])
})

test('a worker that answers late is busy; one that does not answer for its limit hangs', () => {
  const heartbeat = new Heartbeat()
  expect(heartbeat.beat()).toBe(true)
  expect(heartbeat.beat()).toBe(false)
  expect([heartbeat.tick(3), heartbeat.tick(3)]).toEqual([undefined, undefined])
  heartbeat.answered({ busy: true, progress: 1 })
  expect(heartbeat.beat()).toBe(true)
  expect(
    [heartbeat.tick(3), heartbeat.tick(3), heartbeat.tick(3)].map((problem) => problem !== undefined),
  ).toEqual([false, false, true])
})

test('a worker that answers, has work and computes nothing is stuck; one without work is not', () => {
  const beat = (heartbeat: Heartbeat, busy: boolean, progress: number) => {
    heartbeat.beat()
    heartbeat.answered({ busy, progress })
    return heartbeat.tick(2)
  }
  const stuck = new Heartbeat()
  expect([1, 2, 2, 2].map((progress) => beat(stuck, true, progress))).toEqual([
    undefined,
    undefined,
    undefined,
    expect.stringContaining('no progress'),
  ])
  const idle = new Heartbeat()
  expect([2, 2, 2, 2].map((progress) => beat(idle, false, progress))).toEqual(new Array(4).fill(undefined))
})

test('replicas share the cores, and one alone leaves half of them to the page', () => {
  expect([1, 2, 4].map((replicas) => threadsPerReplica(8, replicas))).toEqual([4, 4, 2])
  expect([1, 2, 3].map((replicas) => threadsPerReplica(2, replicas))).toEqual([1, 1, 1])
})

test('time that a request has waited is taken off its deadlines', () => {
  const request = { task: 'generate', model: 'm', timeoutMs: 100 } as const
  expect(withoutWait(request, 30)).toEqual({ ...request, timeoutMs: 70 })
  expect(withoutWait({ ...request, queueTimeoutMs: 20 }, 30)).toMatchObject({ queueTimeoutMs: 1 })
  expect(withoutWait({ ...request, timeoutMs: -1 }, 30)).toMatchObject({ timeoutMs: -1 }) // for the worker to refuse
})

test('a wrong number of replicas is refused', () => {
  for (const scaling of [
    { replicas: 1.5 },
    { replicas: -1 },
    { replicas: { min: 3, max: 2 } },
    { replicas: '2' as never },
    { idleTimeoutMs: 0 },
  ])
    expect(() => resolveScaling(scaling)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  expect(resolveScaling({ replicas: { min: 0, max: 2 } })).toMatchObject({ min: 0, max: 2 })
})

test('replicas that would share one GPU are refused', () => {
  expect(() => refuseReplicasOnGpu(2)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  expect(() => refuseReplicasOnGpu(1)).not.toThrow()
})

test('the figures of replicas are added', () => {
  const one = { ...emptyStats(), rows: 2, kvUsage: 0.5, generatedTokens: 3 }
  const other = {
    ...emptyStats(),
    rows: 6,
    kvUsage: 0.25,
    generatedTokens: 4,
    blocks: { total: 4, used: 1, cached: 2, copied: 0, stored: 5, evicted: 3 },
  }
  expect(sumStats(one, other)).toMatchObject({
    rows: 8,
    kvUsage: 0.3125,
    generatedTokens: 7,
    blocks: { total: 4, used: 1, cached: 2, copied: 0, stored: 5, evicted: 3 },
  })
})

test('what is left of the figures of a worker that is gone are its counters', () => {
  const stats = {
    ...emptyStats(),
    running: 1,
    waiting: 2,
    rows: 3,
    kvUsage: 0.5,
    kvBytes: 7,
    generatedTokens: 9,
  }
  const blocks = { total: 4, used: 1, cached: 2, copied: 0, stored: 0, evicted: 0 }
  expect(countersOf({ ...stats, blocks })).toEqual({ ...emptyStats(), generatedTokens: 9 })
})

test('where auto chose the GPU there is never more than one replica, whatever range was asked for', () => {
  const load = () => ({ queued: 9, running: 1, replicas: 1 })
  const scaled: number[] = []
  const scaler = new Scaler(
    { replicas: { min: 2, max: 4 } },
    { load, scale: (count) => scaled.push(count), fit: (count) => count },
  )
  expect([scaler.awake, scaler.most]).toEqual([2, 4])
  scaler.limit(1)
  expect([scaler.awake, scaler.most]).toEqual([1, 1])
  scaler.start(1)
  scaler.look()
  scaler.stop()
  expect(scaled).toEqual([])
})

test('options of sleep are checked and filled in', () => {
  expect(resolveSleep({})).toEqual({ level: 1, running: 'wait', arriving: 'wait' })
  for (const wrong of [{ level: 3 }, { running: 'stop' }, { arriving: 'no' }, { how: 1 }])
    expect(() => resolveSleep(wrong as never)).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test('a model that grows gets its share of the memory, once the others have let go of theirs', () => {
  const demand = (model: string, desired: number, replicas: number) => ({
    model,
    desired,
    replicas,
    replicaBytes: 10,
  })
  const shares = (demands: readonly ReturnType<typeof demand>[], budgetBytes: number) =>
    demands.map(({ model }) => memoryShare(model, demands, budgetBytes))
  expect(shares([demand('a', 3, 1), demand('b', 1, 1)], 35)).toEqual([2, 1])
  expect(shares([demand('a', 3, 3), demand('b', 2, 1)], 40)).toEqual([2, 1]) // first `a` gives one back
  expect(shares([demand('a', 3, 2), demand('b', 2, 1)], 40)).toEqual([2, 2])
  expect(shares([demand('a', 9, 1)], Infinity)).toEqual([9])
  expect(memoryShare('c', [demand('a', 1, 1)], 10)).toBe(Infinity)
})

import { expect, test } from 'playwright/test'
import type { AutoscalerPolicy } from '../../packages/client/src/control/autoscaler.ts'
import { Autoscaler } from '../../packages/client/src/control/autoscaler.ts'
import { fitReplicas } from '../../packages/client/src/control/replica-budget.ts'

const POLICY: AutoscalerPolicy = { maxReplicas: 4, target: 8, scaleDownStabilizationMs: 10_000 }

/** A hub that obeys at once, once a second. Gives its replicas after every second. */
function trace(policy: AutoscalerPolicy, load: (second: number) => number, seconds: number): number[] {
  const autoscaler = new Autoscaler(policy)
  let replicas = 0
  return Array.from({ length: seconds }, (_, second) => {
    const requests = load(second)
    const running = Math.min(requests, 8 * replicas)
    replicas = autoscaler.observe({ now: 1000 * second, running, queued: requests - running, replicas })
    return replicas
  })
}

test('a step of load is met at once, and left after the stabilisation window, down to one', () => {
  const steps = trace(POLICY, (second) => (second < 5 ? 1 : second < 10 ? 30 : 1), 30)
  expect(steps.slice(0, 5)).toEqual([1, 1, 1, 1, 1])
  expect(steps.slice(5, 10)).toEqual([4, 4, 4, 4, 4])
  expect(steps.slice(10, 19)).toEqual(Array(9).fill(4)) // the window
  expect(steps.slice(20)).toEqual(Array(10).fill(1))
})

test('never more than the most, never fewer than the least', () => {
  expect(Math.max(...trace({ ...POLICY, minReplicas: 2 }, () => 1000, 10))).toBe(4)
  expect(trace({ ...POLICY, minReplicas: 2, idleTimeoutMs: 0 }, () => 0, 3)).toEqual([2, 2, 2])
})

test('spikes within the window do not make replicas come and go', () => {
  const steps = trace(POLICY, (second) => (second % 5 === 0 ? 20 : 2), 40)
  expect(new Set(steps)).toEqual(new Set([3]))
})

test('a window for growing passes over a short spike', () => {
  const slow = { ...POLICY, scaleUpStabilizationMs: 3000 }
  expect(Math.max(...trace(slow, (second) => (second === 5 ? 30 : 4), 20))).toBe(1)
  expect(Math.max(...trace(slow, (second) => (second >= 5 ? 30 : 4), 20))).toBe(4)
})

test('after the idle timeout there is none, and a request brings one back at once', () => {
  const steps = trace(
    { ...POLICY, scaleDownStabilizationMs: 2000, idleTimeoutMs: 5000 },
    (second) => (second < 3 || second === 15 ? 1 : 0),
    17,
  )
  expect(steps.slice(0, 8)).toEqual(Array(8).fill(1)) // idle from second 3
  expect(steps.slice(8, 15)).toEqual(Array(7).fill(0))
  expect(steps[15]).toBe(1)
  expect(steps[16]).toBe(1)
})

test('without an idle timeout the last one stays, and nothing starts before the first request', () => {
  expect(trace(POLICY, (second) => (second === 3 ? 1 : 0), 60)).toEqual([0, 0, 0, ...Array(57).fill(1)])
})

test('the memory budget bounds the replicas of a model, whatever waits', () => {
  const tight = { ...POLICY, replicaBytes: 100, memoryBudgetBytes: 250 }
  expect(Math.max(...trace(tight, () => 1000, 5))).toBe(2)
  expect(Math.max(...trace({ ...tight, memoryBudgetBytes: 50 }, () => 1000, 5))).toBe(0)
})

test('of a budget over all, each model gets one first, those that run before those that do not, then in turns', () => {
  const demand = (model: string, desired: number, replicas: number, replicaBytes = 100) => ({
    model,
    desired,
    replicas,
    replicaBytes,
  })
  const fit = (budget: number, ...demands: ReturnType<typeof demand>[]) =>
    Object.fromEntries(fitReplicas(demands, budget))
  expect(fit(1000, demand('a', 2, 0), demand('b', 3, 0))).toEqual({ a: 2, b: 3 })
  expect(fit(300, demand('a', 4, 0), demand('b', 4, 0))).toEqual({ a: 2, b: 1 })
  expect(fit(100, demand('a', 1, 0), demand('b', 1, 1))).toEqual({ a: 0, b: 1 })
  expect(fit(300, demand('a', 1, 0, 500), demand('b', 3, 0))).toEqual({ a: 0, b: 3 })
  expect(fit(0, demand('a', 1, 1))).toEqual({ a: 0 })
})

test('policies that make no sense are refused', () => {
  expect(() => new Autoscaler({ minReplicas: 3, maxReplicas: 2 })).toThrow('above maxReplicas')
  expect(() => new Autoscaler({ maxReplicas: 1.5 })).toThrow('maxReplicas')
  expect(() => new Autoscaler({ target: 0 })).toThrow('target')
  expect(() => new Autoscaler({ max: 3 } as never)).toThrow('no option max')
})

import { expect, test } from 'playwright/test'
import { HiddenPolicy } from '../../packages/client/src/lifecycle/hidden-policy.ts'
import type { HiddenOptions } from '../../packages/client/src/lifecycle/hidden-policy.ts'
import type { PageState } from '../../packages/client/src/lifecycle/page-events.ts'
import { watchPage } from '../../packages/client/src/lifecycle/page-events.ts'
import type { Health, ModelHealth, SleepOptions } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import { FakeClock } from './fake-clock.ts'

/** Two models, of which `user` was put to sleep by somebody else where that is said. */
function start(options: HiddenOptions) {
  const clock = new FakeClock()
  const calls: string[] = []
  const asleep = new Map<string, SleepOptions>()
  const policy = new HiddenPolicy(options, {
    clock,
    health: async (): Promise<Health> => ({
      live: true,
      ready: true,
      models: ['a', 'b'].map((id): ModelHealth => {
        const sleep = asleep.get(id)
        const { level = 1, arriving = 'wait' } = sleep ?? {}
        return {
          id,
          name: id,
          version: '1',
          state: sleep === undefined ? 'ready' : 'asleep',
          ready: true,
          wanted: 1,
          replicas: [],
          waiting: 0,
          ...(sleep === undefined ? {} : { sleep: { level, arriving } }),
        }
      }),
    }),
    sleep: async (id, how) => {
      calls.push(`sleep ${id} ${how.level} ${how.running} ${how.arriving}`)
      asleep.set(id, how)
    },
    wake: async (id) => {
      if (!asleep.delete(id)) throw new EngineError('model_not_loaded', `${id} is gone.`)
      calls.push(`wake ${id}`)
    },
  })
  return { policy, clock, calls, asleep }
}

test('models sleep once the page was hidden for as long as was said, and wake when it is seen', async () => {
  const { policy, clock, calls } = start({ sleepAfterMs: 1000 })
  policy.take('hidden')
  await clock.advance(999)
  expect(calls).toEqual([])
  await clock.advance(1)
  expect(calls.splice(0)).toEqual(['sleep a 1 wait wake', 'sleep b 1 wait wake'])
  policy.take('visible')
  await clock.advance(5000)
  expect(calls).toEqual(['wake a', 'wake b'])
})

test('a page that is seen again in time puts nothing to sleep', async () => {
  const { policy, clock, calls } = start({ sleepAfterMs: 1000 })
  policy.take('hidden')
  await clock.advance(900)
  policy.take('visible')
  await clock.advance(5000)
  expect(calls).toEqual([])
})

test('a model that a request woke in the background goes back to sleep; what others put to sleep is left alone', async () => {
  const { policy, clock, calls, asleep } = start({ sleepAfterMs: 1000, level: 2 })
  asleep.set('b', {})
  policy.take('hidden')
  await clock.advance(1000)
  expect(calls.splice(0)).toEqual(['sleep a 2 wait wake'])
  asleep.delete('a')
  await clock.advance(1000)
  expect(calls.splice(0)).toEqual(['sleep a 2 wait wake'])
  policy.take('visible')
  await clock.advance(0)
  expect(calls).toEqual(['wake a'])
  expect(asleep.has('b')).toBe(true)
})

test('a page that is about to be frozen does not wait: what runs goes on when the page does', async () => {
  const { policy, clock, calls } = start({ sleepAfterMs: 60_000 })
  policy.take('hidden')
  policy.take('frozen')
  await clock.advance(0)
  expect(calls.splice(0)).toEqual(['sleep a 1 keep wake', 'sleep b 1 keep wake'])
  policy.take('visible')
  await clock.advance(0)
  expect(calls).toEqual(['wake a', 'wake b'])
})

test('a model that was unloaded meanwhile is nobody’s business, and after stop nothing happens', async () => {
  const { policy, clock, calls, asleep } = start({ sleepAfterMs: 10 })
  policy.take('hidden')
  await clock.advance(10)
  calls.length = 0
  asleep.delete('a')
  policy.take('visible')
  await clock.advance(0)
  expect(calls).toEqual(['wake b'])
  policy.take('hidden')
  policy.stop()
  await clock.advance(1000)
  expect(calls).toEqual(['wake b'])
})

test('wrong options are refused', () => {
  for (const wrong of [
    {},
    { sleepAfterMs: -1 },
    { sleepAfterMs: 1, level: 3 },
    { sleepAfterMs: 1, other: 1 },
  ])
    expect(() => start(wrong as never)).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

test('a page says that it is seen, hidden, frozen, resumed, and back from the cache', () => {
  const document = Object.assign(new EventTarget(), { visibilityState: 'hidden' as DocumentVisibilityState })
  const window = new EventTarget()
  const states: PageState[] = []
  const stop = watchPage({ document, window } as never, (state) => states.push(state))
  document.visibilityState = 'visible'
  document.dispatchEvent(new Event('visibilitychange'))
  document.dispatchEvent(new Event('freeze'))
  document.dispatchEvent(new Event('resume'))
  window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: false }))
  window.dispatchEvent(Object.assign(new Event('pagehide'), { persisted: true }))
  window.dispatchEvent(new Event('pageshow'))
  expect(states).toEqual(['hidden', 'visible', 'frozen', 'visible', 'frozen', 'visible'])
  stop()
  document.dispatchEvent(new Event('freeze'))
  expect(states).toHaveLength(6)
})

import { expect, test } from 'playwright/test'
import { limitStart } from '../../packages/client/src/hub/start-limit.ts'
import type { EngineError } from '../../packages/protocol/src/index.ts'
import { FakeClock } from './fake-clock.ts'

function start() {
  const clock = new FakeClock()
  const errors: EngineError[] = []
  let answer = (_: unknown) => {}
  let die = (_: Error) => {}
  const firstSign = new Promise<unknown>((resolve, reject) => {
    answer = resolve
    die = reject
  })
  limitStart({ clock, startTimeoutMs: 30_000, firstSign, onLate: (error) => errors.push(error) })
  return { clock, errors, answer, die }
}

test('a worker that never says a word is engine_lost once, with advice', async () => {
  const { clock, errors } = start()
  await clock.advance(29_999)
  expect(errors).toEqual([])
  await clock.advance(1)
  expect(errors).toMatchObject([{ code: 'engine_lost' }])
  expect(errors[0]?.message).toMatch(/nothing for 30 s: .*startWorker\(\).*startTimeoutMs/)
  await clock.advance(300_000)
  expect(errors).toHaveLength(1)
})

test('a worker that answers late, but in time, may take as long as it likes from then on', async () => {
  const { clock, errors, answer } = start()
  await clock.advance(29_000)
  answer({ busy: false, progress: 0 })
  await clock.advance(300_000)
  expect(errors).toEqual([])
})

test('a worker that dies while it starts is not called late besides', async () => {
  const { clock, errors, die } = start()
  await clock.advance(1000)
  die(new Error('its script could not be loaded'))
  await clock.advance(300_000)
  expect(errors).toEqual([])
})

import { expect, test } from 'playwright/test'
import { Mutex } from '../../packages/runtime/src/mutex.ts'

test('a job that fails fails alone: the next one runs', async () => {
  const mutex = new Mutex()
  const bad = mutex.run(() => Promise.reject(new Error('bad feed')))
  const good = mutex.run(() => 'good')
  await expect(bad).rejects.toThrow('bad feed')
  expect(await good).toBe('good')
})

test('a job that throws before it awaits does not stop the queue', async () => {
  const mutex = new Mutex()
  const bad = mutex.run(() => {
    throw new Error('at once')
  })
  await expect(bad).rejects.toThrow('at once')
  expect(await mutex.run(() => 'still here')).toBe('still here')
})

test('jobs run one at a time, in the order in which they came', async () => {
  const mutex = new Mutex()
  const log: string[] = []
  const job = (name: string) => async () => {
    log.push(`${name} begins`)
    await new Promise((resolve) => setTimeout(resolve, 5))
    log.push(`${name} ends`)
  }
  await Promise.all([mutex.run(job('a')), mutex.run(job('b'))])
  expect(log).toEqual(['a begins', 'a ends', 'b begins', 'b ends'])
})

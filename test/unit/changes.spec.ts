import { expect, test } from 'playwright/test'
import { Changes } from '../../packages/client/src/hub/changes.ts'

test('who waits is asked at every change, and goes when it is so', async () => {
  const changes = new Changes()
  let value = 0
  let asked = 0
  const waiting = changes.until(() => {
    asked++
    return value === 2
  })
  for (value of [1, 2]) {
    changes.tell()
    await Promise.resolve()
  }
  await waiting
  expect(asked).toBe(3)
})

test('what the question itself brings about is seen, though nothing else ever changes', async () => {
  const changes = new Changes()
  let isAwake = false
  await changes.until(() => {
    if (isAwake) return true
    isAwake = true // as a request wakes a model that has only just begun to sleep
    changes.tell()
    return false
  })
  expect(isAwake).toBe(true)
})

test('a question that changes something whenever it is asked waits all the same', async () => {
  const changes = new Changes()
  let asked = 0
  let isSo = false
  const waiting = changes.until(() => {
    asked++
    changes.tell()
    return isSo
  })
  expect(asked).toBe(2)
  isSo = true
  changes.tell()
  await waiting
})

test('what a question throws is thrown', async () => {
  const refusing = new Changes().until(() => {
    throw new Error('never')
  })
  await expect(refusing).rejects.toThrow('never')
})

import { expect, test } from 'playwright/test'
import { Patience } from '../../packages/runtime/src/backend/webgpu/patience.ts'

function start() {
  let tick: (() => void) | undefined
  let numSilences = 0
  const patience = new Patience(3000, () => numSilences++, {
    every(ms, call) {
      if (ms !== 1000 || tick !== undefined) throw new Error('one ticker, of a second')
      tick = call
      return () => (tick = undefined)
    },
  })
  const pass = (count: number) => {
    for (let at = 0; at < count; at++) tick?.()
    return numSilences
  }
  return { patience, pass, isTicking: () => tick !== undefined }
}

test('who owes an answer and is silent for as long as may be is found out, and not before', () => {
  const { patience, pass } = start()
  patience.heard(true)
  expect(pass(2)).toBe(0)
  patience.heard(true) // one of several answers
  expect(pass(2)).toBe(0)
  expect(pass(1)).toBe(1)
})

test('who owes nothing may be silent, and nothing ticks', () => {
  const { patience, pass, isTicking } = start()
  patience.heard(true)
  patience.heard(false)
  expect(isTicking()).toBe(false)
  expect(pass(10)).toBe(0)
})

test('a machine that slept for hours wakes to one tick, and blames nobody', () => {
  const { patience, pass } = start()
  patience.heard(true)
  expect(pass(1)).toBe(0) // however long it took to come
  patience.end()
})

import { expect, test } from 'playwright/test'
import { createBreath } from '../../packages/runtime/src/breath.ts'

test('messages are served between breaths, which promises alone would not let happen', async () => {
  const { port1, port2 } = new MessageChannel()
  let isServed = false
  port1.onmessage = () => (isServed = true)
  port2.postMessage(null)
  for (let turn = 0; turn < 1000; turn++) await Promise.resolve()
  expect(isServed).toBe(false)
  const breath = createBreath()
  // Browsers serve all ports in one order; Node goes from port to port.
  for (let turn = 0; turn < 10 && !isServed; turn++) await breath.take()
  expect(isServed).toBe(true)
  port1.close()
  breath.dispose()
})

test('breaths end in the order in which they were taken', async () => {
  const breath = createBreath()
  const order: number[] = []
  await Promise.all([1, 2, 3].map((number) => breath.take().then(() => order.push(number))))
  expect(order).toEqual([1, 2, 3])
  breath.dispose()
})

test('who waits when it is disposed of goes on', async () => {
  const breath = createBreath()
  const waiting = breath.take()
  breath.dispose()
  await waiting
})

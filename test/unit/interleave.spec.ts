import { expect, test } from 'playwright/test'
import { interleave, median } from '../../packages/dev/src/bench/interleave.ts'

test('cases are measured in turns, the first round is thrown away, and the median is taken', async () => {
  const order: string[] = []
  const values = { a: [100, 3, 1, 2], b: [0, 10, 10, 40] }
  const measure = (name: 'a' | 'b') => async () => {
    order.push(name)
    return values[name].shift() ?? NaN
  }
  expect(await interleave({ a: measure('a'), b: measure('b') }, 3)).toEqual({ a: 2, b: 10 })
  expect(order.join('')).toBe('abababab')
})

test('the median of an even number of values is between the middle ones', () => {
  expect(median([4, 1, 3, 2])).toBe(2.5)
  expect(median([])).toBeNaN()
})

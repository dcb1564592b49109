import { expect, test } from 'playwright/test'
import { Random } from '../../packages/engine/src/random.ts'

const first = (seed: number, count = 4) => {
  const random = new Random(seed)
  return Array.from({ length: count }, () => random.next()).join()
}

test('the same seed gives the same stream', () => {
  expect(first(42)).toBe(first(42))
})

test('seeds that differ only in their sign or above their low 32 bits give other streams', () => {
  const seeds = [
    0,
    1,
    -1,
    2 ** 32,
    2 ** 32 + 1,
    2 ** 33,
    -(2 ** 32),
    Number.MAX_SAFE_INTEGER,
    Number.MIN_SAFE_INTEGER,
  ]
  expect(new Set(seeds.map((seed) => first(seed))).size).toBe(seeds.length)
})

test('numbers are spread evenly over [0, 1)', () => {
  const random = new Random(1)
  const bins = new Float64Array(100)
  for (let index = 0; index < 100_000; index++) bins[Math.floor(random.next() * 100)]! += 1
  const chiSquare = bins.reduce((sum, count) => sum + (count - 1000) ** 2 / 1000, 0)
  expect(chiSquare).toBeLessThan(149) // 99 degrees of freedom: 0.1 % of good generators exceed it
})

test('streams of neighbouring seeds have nothing in common', () => {
  const starts = Array.from({ length: 10_000 }, (_, seed) => new Random(seed).next())
  const mean = starts.reduce((sum, value) => sum + value, 0) / starts.length
  expect(Math.abs(mean - 0.5)).toBeLessThan(0.015)
})

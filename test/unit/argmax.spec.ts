import { expect, test } from 'playwright/test'
import { argmax } from '../../packages/engine/src/logprobs.ts'
import { Random } from '../../packages/engine/src/random.ts'

test('of equal largest values the lowest index wins, wherever they are', () => {
  expect(argmax(Float32Array.of(1, 3, 3, 2, 3, 3))).toBe(1)
  expect(argmax(Float32Array.of(0, 0, 0, 0, 0, 0, 7, 0, 7))).toBe(6)
  expect(argmax(Float32Array.of(-0, 0))).toBe(0)
})

test('NaN never wins, and nothing but NaN has no largest', () => {
  expect(argmax(Float32Array.of(NaN, -5, NaN, NaN, NaN, NaN, -4, NaN))).toBe(6)
  expect(argmax(Float32Array.of(NaN, NaN, -Infinity, NaN, NaN, NaN))).toBe(2)
  expect(argmax(new Float32Array(9).fill(NaN))).toBe(-1)
  expect(argmax(new Float32Array())).toBe(-1)
})

test('where all are -Infinity the first one is the largest', () => {
  for (const length of [1, 4, 7]) expect(argmax(new Float32Array(length).fill(-Infinity))).toBe(0)
})

test('it finds what a plain loop finds, in rows of every length and with ties', () => {
  const random = new Random(3)
  const wrong: string[] = []
  for (let length = 0; length < 200; length++) {
    const odd = [NaN, Infinity, -Infinity]
    const row = Float32Array.from({ length }, () =>
      random.next() < 0.1 ? odd[Math.floor(random.next() * 3)]! : Math.floor(random.next() * 6),
    )
    if (argmax(row) !== plain(row)) wrong.push(row.join())
  }
  expect(wrong).toEqual([])
})

function plain(values: Float32Array): number {
  return values.reduce(
    (best, value, index) => (!Number.isNaN(value) && (best < 0 || value > values[best]!) ? index : best),
    -1,
  )
}

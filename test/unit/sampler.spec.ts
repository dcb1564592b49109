import { expect, test } from 'playwright/test'
import { TokenHistory } from '../../packages/engine/src/logits-processors.ts'
import { Random } from '../../packages/engine/src/random.ts'
import { Sampler } from '../../packages/engine/src/sampler.ts'
import { FARTHEST, weightOf } from '../../packages/engine/src/weight.ts'
import { resolveSampling } from '../../packages/engine/src/sampling-params.ts'
import type { SamplingParams } from '../../packages/protocol/src/index.ts'
import { largestOf } from './fake-runner.ts'

const none = new TokenHistory([])

function samplerOf(options: SamplingParams, vocabSize: number) {
  return new Sampler(resolveSampling(options, vocabSize), new Random(options.seed ?? 5))
}

/** How often each token is drawn. */
function draw(options: SamplingParams, logits: readonly number[], times: number): number[] {
  const sampler = samplerOf(options, logits.length)
  const counts = logits.map(() => 0)
  for (let index = 0; index < times; index++)
    counts[sampler.sample(Float32Array.from(logits), none).token]! += 1
  return counts
}

test('temperature 0 takes the likeliest token, the lowest id of equals, and no NaN', () => {
  expect(samplerOf({ temperature: 0 }, 5).sample(Float32Array.of(NaN, 1, 3, 3, NaN), none).token).toBe(2)
})

test('a row without one usable logit is a failure of the model', () => {
  for (const value of [NaN, -Infinity]) {
    for (const temperature of [0, 1]) {
      const sampler = samplerOf({ temperature }, 3)
      expect(() => sampler.sample(new Float32Array(3).fill(value), none)).toThrow(
        expect.objectContaining({ code: 'backend_failed' }),
      )
    }
  }
})

test('the same seed draws the same tokens', () => {
  const logits = Array.from({ length: 50 }, (_, index) => Math.sin(index))
  expect(draw({ seed: 9 }, logits, 40)).toEqual(draw({ seed: 9 }, logits, 40))
})

test('weights are e^-distance, to the last bit of a float32 but one', () => {
  let worst = 0
  for (let distance = 0; distance <= FARTHEST; distance += 0.000_713) {
    const exact = Math.exp(-distance)
    worst = Math.max(worst, Math.abs(weightOf(distance) - exact) / exact)
  }
  expect(worst).toBeLessThan(2 ** -23)
  expect(weightOf(0)).toBe(1)
})

test('tokens are drawn as often as softmax(logits / temperature) says', () => {
  const logits = [2, 1, 0, -1, -Infinity]
  for (const temperature of [0.5, 1, 2]) {
    const weights = logits.map((logit) => Math.exp(logit / temperature))
    const total = weights.reduce((sum, weight) => sum + weight, 0)
    const counts = draw({ temperature }, logits, 20_000)
    let chiSquare = 0
    weights.forEach((weight, token) => {
      const expected = (20_000 * weight) / total
      if (expected > 0) chiSquare += (counts[token]! - expected) ** 2 / expected
    })
    expect(chiSquare).toBeLessThan(16.3) // 3 degrees of freedom: 0.1 % of good samplers exceed it
    expect(counts[4]).toBe(0)
  }
})

test('of equal tokens at the edge of top-k and top-p, the lowest ids are kept', () => {
  expect(draw({ topK: 2 }, [1, 1, 1, 1], 300).map((count) => count > 0)).toEqual([true, true, false, false])
  expect(draw({ topP: 0.5 }, [1, 1, 1, 1], 300).map((count) => count > 0)).toEqual([true, true, false, false])
})

test('a share that only rounding keeps from being reached keeps all', () => {
  const logits = Array.from({ length: 1000 }, (_, index) => Math.sin(index) * 10)
  for (let seed = 0; seed < 50; seed++) {
    const options = { topP: 1 - 2 ** -53, seed, temperature: 1 + seed / 7 }
    const { token } = samplerOf(options, 1000).sample(Float32Array.from(logits), none)
    expect(token).toBeLessThan(1000)
  }
})

/** The definition, word for word, with a full sort. */
function naiveKept(
  logits: readonly number[],
  { temperature = 1, topK = 0, topP = 1, minP = 0 }: SamplingParams,
) {
  const max = Math.max(...logits)
  let kept = logits.map((logit, token) => ({ token, weight: Math.exp((logit - max) / temperature) }))
  kept = kept.filter(({ weight }) => weight >= minP).sort((a, b) => b.weight - a.weight || a.token - b.token)
  if (topK > 0) kept = kept.slice(0, topK)
  const total = kept.reduce((sum, { weight }) => sum + weight, 0)
  let mass = 0
  const size = kept.findIndex(({ weight }) => (mass += weight) >= topP * total) + 1
  return kept.slice(0, topP < 1 ? size : kept.length)
}

test('whatever the parameters, only the kept set of a full sort is drawn, and all of it', () => {
  const random = new Random(11)
  // `expect` costs a millisecond a call in this runner: failures are collected and expected to be none.
  const failures: string[] = []
  for (let round = 0; round < 300; round++) {
    const vocabSize = 2 + Math.floor(random.next() * 30)
    const logits = Array.from({ length: vocabSize }, () => Math.fround(random.next() * 6 - 3))
    const options: SamplingParams = {
      temperature: 0.3 + random.next() * 2,
      topK: Math.floor(random.next() * 12),
      topP: random.next() < 0.3 ? 1 : 0.05 + random.next() * 0.9,
      minP: random.next() < 0.5 ? 0 : random.next() * 0.5,
    }
    const kept = naiveKept(logits, options)
    const total = kept.reduce((sum, { weight }) => sum + weight, 0)
    const counts = draw(options, logits, 400)
    const share = new Map(kept.map(({ token, weight }) => [token, weight / total]))
    counts.forEach((count, token) => {
      const likely = share.get(token)
      // A token with 6 % is missed by chance once in 5e10 times: 0.94^400 = 2e-11.
      const wrong = likely === undefined ? count > 0 : likely > 0.06 && count === 0
      if (wrong) failures.push(JSON.stringify({ options, logits, token, likely, count }))
    })
  }
  expect(failures).toEqual([])
})

test('log-probabilities are those of the model, before any option changes the logits', () => {
  const options: SamplingParams = { temperature: 0, logprobs: 2, logitBias: { 0: -100, 2: 50 } }
  const { token, logprob } = samplerOf(options, 3).sample(
    Float32Array.of(Math.log(2), Math.log(5), Math.log(3)),
    none,
  )
  expect(token).toBe(2)
  expect(logprob?.logprob).toBeCloseTo(Math.log(0.3), 5)
  expect(logprob?.top.map((entry) => entry.token)).toEqual([1, 2])
  expect(logprob?.top[0]?.logprob).toBeCloseTo(Math.log(0.5), 5)
})

test('the largest logits alone give, bit for bit, the draws of whole rows', () => {
  const random = new Random(23)
  const failures: string[] = []
  for (let round = 0; round < 400; round++) {
    const vocabSize = 70 + Math.floor(random.next() * 200)
    const options: SamplingParams = {
      temperature: random.next() < 0.2 ? 0 : 0.2 + 2 * random.next(),
      topK: 1 + Math.floor(random.next() * 64),
      topP: random.next() < 0.3 ? 1 : 0.05 + random.next() * 0.9,
      minP: random.next() < 0.5 ? 0 : random.next() * 0.5,
      seed: round,
    }
    const whole = samplerOf(options, vocabSize)
    const part = samplerOf(options, vocabSize)
    for (let draw = 0; draw < 20; draw++) {
      // In steps, so that there are equal ones at the edge.
      const logits = Float32Array.from({ length: vocabSize }, () => Math.round(random.next() * 40) / 4)
      const tokens = Int32Array.from(largestOf(logits, part.top))
      const values = Float32Array.from(tokens, (token) => logits[token]!)
      const wanted = whole.sample(logits, none).token
      const found = part.sample(values, none, tokens).token
      if (found !== wanted) failures.push(JSON.stringify({ options, wanted, found }))
    }
  }
  expect(failures).toEqual([])
})

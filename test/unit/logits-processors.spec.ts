import { expect, test } from 'playwright/test'
import { createLogitsProcessors, TokenHistory } from '../../packages/engine/src/logits-processors.ts'
import { resolveSampling } from '../../packages/engine/src/sampling-params.ts'
import type { SamplingParams } from '../../packages/protocol/src/index.ts'

function process(
  options: SamplingParams,
  logits: number[],
  prompt: number[] = [],
  output: number[] = [],
  stopTokens: number[] = [],
) {
  const row = Float32Array.from(logits)
  const history = new TokenHistory(prompt)
  for (const token of output) history.append(token)
  for (const processor of createLogitsProcessors(resolveSampling(options, row.length), new Set(stopTokens)))
    processor(row, history)
  return [...row]
}

test('options that change nothing make no processor', () => {
  expect(
    createLogitsProcessors(resolveSampling({ logitBias: {}, repetitionPenalty: 1 }, 4), new Set([1])),
  ).toEqual([])
})

test('the repetition penalty divides positive and multiplies negative logits of prompt and output, once each', () => {
  expect(process({ repetitionPenalty: 2 }, [4, -4, 4, 4], [0, 1, 0], [0, 2, 2])).toEqual([2, -8, 2, 4])
})

test('presence counts a generated token once, frequency every time, and neither counts the prompt', () => {
  expect(process({ presencePenalty: 1, frequencyPenalty: 0.5 }, [0, 0, 0], [0], [1, 2, 2])).toEqual([
    0, -1.5, -2,
  ])
})

test('a bias is added, and one of -100 forbids', () => {
  expect(process({ logitBias: { 0: 3, 1: -99, 2: -100 } }, [1, 1, 1, 1])).toEqual([4, -98, -Infinity, 1])
})

test('a bias comes before the repetition penalty, as in vLLM', () => {
  expect(process({ logitBias: { 0: 2 }, repetitionPenalty: 2 }, [2], [0])).toEqual([2])
})

test('nothing is drawn but what is allowed', () => {
  expect(process({ allowedTokenIds: [1, 3] }, [1, 2, 3, 4])).toEqual([-Infinity, 2, -Infinity, 4])
})

test('tokens that end the text are held back until enough others were drawn', () => {
  const options = { minTokens: 2 }
  expect(process(options, [1, 2, 3], [0], [0], [1])).toEqual([1, -Infinity, 3])
  expect(process(options, [1, 2, 3], [0], [0, 2], [1])).toEqual([1, 2, 3])
})

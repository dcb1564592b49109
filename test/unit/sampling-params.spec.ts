import { expect, test } from 'playwright/test'
import { refuseUnknownOptions, resolveSampling } from '../../packages/engine/src/sampling-params.ts'
import type { SamplingParams } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'

function refusal(act: () => unknown): string {
  try {
    act()
  } catch (error) {
    if (error instanceof EngineError && error.code === 'bad_request') return error.message
    throw error
  }
  return 'accepted'
}

test('what is not said has the default', () => {
  expect(resolveSampling({}, 10)).toMatchObject({
    temperature: 1,
    topK: 0,
    topP: 1,
    minP: 0,
    stop: [],
    ignoreEos: false,
  })
  expect(resolveSampling({}, 10).maxTokens).toBeUndefined()
})

test('one stop string is a list of one', () => {
  expect(resolveSampling({ stop: 'END' }, 10).stop).toEqual(['END'])
})

const wrong: readonly (readonly [string, unknown])[] = [
  ['temperature', -1],
  ['temperature', NaN],
  ['temperature', '1'],
  ['topK', 1.5],
  ['topK', -1],
  ['topP', 0],
  ['topP', 1.1],
  ['minP', 2],
  ['repetitionPenalty', 0],
  ['repetitionPenalty', Infinity],
  ['presencePenalty', 2.5],
  ['frequencyPenalty', -3],
  ['maxTokens', -1],
  ['seed', 0.5],
  ['seed', 2 ** 53],
  ['logprobs', 21],
  ['logprobs', true],
  ['ignoreEos', 1],
  ['stop', ''],
  ['stop', ['a', 1]],
  ['stop', Array.from({ length: 17 }, () => 'x')],
  ['stopTokenIds', [10]],
  ['stopTokenIds', 3],
  ['logitBias', { 10: 1 }],
  ['logitBias', { x: 1 }],
  ['logitBias', { 1: Infinity }],
]
for (const [option, value] of wrong) {
  const shown = typeof value === 'number' ? String(value) : JSON.stringify(value).slice(0, 30)
  test(`${option}: ${shown} is refused by name`, () => {
    expect(refusal(() => resolveSampling({ [option]: value } as SamplingParams, 10))).toContain(option)
  })
}

test('beam search is not there, and asking for it is refused by name', () => {
  for (const option of ['beamWidth', 'numBeams', 'num_beams', 'useBeamSearch', 'bestOf']) {
    const problem = refusal(() => refuseUnknownOptions({ [option]: 4 }))
    expect(problem).toContain(`${option} is not an option of a request.`)
  }
})

test('an unknown option is refused, and the known one is named', () => {
  expect(refusal(() => refuseUnknownOptions({ max_tokens: 5 }))).toContain('maxTokens')
  expect(refusal(() => refuseUnknownOptions({ bananas: 5 }))).toContain('bananas')
})

test('an option that is undefined is absent', () => {
  expect(refusal(() => refuseUnknownOptions({ bananas: undefined, topK: 3 }))).toBe('accepted')
})

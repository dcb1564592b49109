import { expect, test } from 'playwright/test'
import type { DeviceChoice, GpuFacts, MachineFacts } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import { chooseByFacts } from '../../packages/runtime/src/backend/device-choice.ts'
import { problemOf, tryOut } from '../../packages/runtime/src/backend/self-test.ts'
import { verdictOf } from '../../packages/runtime/src/backend/verdicts.ts'
import { longestRightChunk } from '../../packages/runtime/src/backend/webgpu/chunk-check.ts'
import { placementProblem } from '../../packages/runtime/src/backend/webgpu/placement-problem.ts'
import { PROBE_GRAPH } from '../../packages/runtime/src/backend/ort-probe-graph.ts'
import { LastingRunner } from '../../packages/runtime/src/tasks/lasting-runner.ts'
import { FakeRunner } from './fake-runner.ts'

const GPU: GpuFacts = {
  vendor: 'acme',
  architecture: 'one',
  description: '',
  isSoftware: false,
  hasHalf: true,
  maxBufferBytes: 2 ** 31,
  maxBindingBytes: 2 ** 31,
}
const FACTS: MachineFacts = { gpu: GPU, cores: 8, threads: 4, crossOriginIsolated: true, memoryGb: 8 }
const CHOICE: DeviceChoice = { device: 'webgpu', reason: 'asked', by: 'asked', facts: FACTS }
const LOSS = new EngineError('device_lost', 'The GPU device is gone.')
const AUTO = { device: 'auto', runner: 'auto' } as const

/** @param failing devices on which no runner can be made. */
function lasting(failing: readonly string[] = []) {
  const made: string[] = []
  let now = 0
  const chosen = (name: 'webgpu' | 'kernels') => ({
    runner: new FakeRunner(),
    name,
    maxKvBytes: 1,
    kvType: 'float32' as const,
  })
  const source = {
    now: () => now,
    make: async (device: 'webgpu' | 'wasm', isTight: boolean) => {
      made.push(isTight ? `${device}, smaller` : device)
      if (failing.includes(device)) throw new Error(`no ${device}`)
      return chosen(device === 'webgpu' ? 'webgpu' : 'kernels')
    },
  }
  const first = chosen('webgpu')
  const runner = new LastingRunner(source, first, CHOICE)
  return { runner, first, made, pass: (ms: number) => (now += ms) }
}

test('three losses in a row bring the GPU back, the fourth the CPU, and the model says so', async () => {
  const { runner, first, made } = lasting()
  for (let loss = 0; loss < 4; loss++) await runner.replace(LOSS)
  expect(made).toEqual(['webgpu', 'webgpu', 'webgpu', 'wasm'])
  expect(first.runner.disposed).toBe(true)
  expect(runner.facts).toMatchObject({ runner: 'kernels', choice: { device: 'wasm' } })
})

test('a GPU that ran out of memory comes back with less on it', async () => {
  const { runner, made } = lasting()
  const cause = new EngineError('memory', 'The GPU has no room.')
  await runner.replace(new EngineError('device_lost', 'The GPU device is gone.', { cause }))
  await runner.replace(LOSS)
  expect(made).toEqual(['webgpu, smaller', 'webgpu'])
})

test('operators that ran on the CPU are named, and how often', () => {
  expect(placementProblem({ numOnGpu: 4, onCpu: ['Shape'], unexpected: [] })).toBeUndefined()
  const unexpected = ['MatMulInteger', 'MatMulInteger', 'QuantizeLinear']
  expect(placementProblem({ numOnGpu: 4, onCpu: unexpected, unexpected })).toContain(
    '2 MatMulInteger, 1 QuantizeLinear',
  )
})

test('losses that are minutes apart are each the first', async () => {
  const { runner, made, pass } = lasting()
  for (let loss = 0; loss < 10; loss++) {
    await runner.replace(LOSS)
    pass(120_000)
  }
  expect(made).toEqual(new Array(10).fill('webgpu'))
})

test('a GPU that does not come back gives way to the CPU at once; without a CPU one typed error says both', async () => {
  const { runner, made } = lasting(['webgpu'])
  await runner.replace(LOSS)
  expect(made).toEqual(['webgpu', 'wasm'])
  const nothing = lasting(['webgpu', 'wasm']).runner.replace(LOSS)
  await expect(nothing).rejects.toMatchObject({
    code: 'device_lost',
    message: expect.stringMatching(/no webgpu.*no wasm/),
  })
})

test('what was asked for is done; what the machine lacks is said; the rest is to be measured', () => {
  const choose = (wanted: Parameters<typeof chooseByFacts>[1], facts = FACTS) =>
    chooseByFacts(PROBE_GRAPH, wanted, facts)
  expect(choose({ device: 'webgpu', runner: 'auto' })).toMatchObject({ device: 'webgpu', by: 'asked' })
  expect(choose({ device: 'auto', runner: 'heap' })).toMatchObject({ device: 'wasm', by: 'asked' })
  expect(choose(AUTO)).toBeUndefined()
  expect(choose(AUTO, { ...FACTS, gpu: { missing: 'no adapter' } })).toMatchObject({ reason: 'no adapter' })
  const software = { ...FACTS, gpu: { ...GPU, isSoftware: true } }
  expect(choose(AUTO, software)).toMatchObject({ device: 'wasm', by: 'facts' })
  const foreign = { ...PROBE_GRAPH, kind: 'decoder-onnx', externalData: [] } as const
  expect(chooseByFacts(foreign, AUTO, FACTS)).toMatchObject({ device: 'wasm', by: 'facts' })
  expect(() => choose({ device: 'webgpu', runner: 'kernels' })).toThrow(
    expect.objectContaining({ code: 'bad_request' }),
  )
})

test('a runner that gives wrong tokens fails the self-test, and is not used however fast it is', async () => {
  const room = { maxContext: 64, maxTokensPerStep: 64 }
  const golden = await tryOut(new FakeRunner(room))
  expect(problemOf(await tryOut(new FakeRunner(room), golden.answer), golden)).toBeUndefined()
  const zeros = { ...golden, logits: golden.logits.map((row) => new Float32Array(row.length)) }
  expect(problemOf(zeros, golden)).toContain('is right')
  const report = { runner: 'kernels', selfTest: { passed: true }, msPerToken: 50 } as const
  const fast = { runner: 'webgpu', msPerToken: 1 } as const
  expect(verdictOf([report, { ...fast, selfTest: { passed: true } }]).device).toBe('webgpu')
  expect(verdictOf([report, { ...fast, selfTest: { passed: true }, msPerToken: 60 }]).device).toBe('wasm')
  const wrong = verdictOf([report, { ...fast, selfTest: { passed: false, problem: 'token 3 is 7' } }])
  expect(wrong).toMatchObject({ device: 'wasm', reason: expect.stringContaining('token 3 is 7') })
})

test('a runner whose long chunks differ from short ones reads prompts in chunks of 31', async () => {
  const room = { maxContext: 64, maxTokensPerStep: 64 }
  expect(await longestRightChunk(new FakeRunner(room))).toBe(64)
  const wrong = new FakeRunner(room)
  const run = wrong.run.bind(wrong)
  wrong.run = async (step) => {
    const result = await run(step)
    const isLong = step.runs.some(({ tokens }) => tokens.length >= 32)
    if (isLong) result.outputs[0]?.values.fill(0)
    return result
  }
  expect(await longestRightChunk(wrong)).toBe(31)
})

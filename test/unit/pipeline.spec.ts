import { expect, test } from 'playwright/test'
import type { PipelineNode, PipelineSpec } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import type { PipelinePorts, PlannedNode } from '../../packages/engine/src/index.ts'
import { planPipeline, runPipeline } from '../../packages/engine/src/index.ts'
import { FakeClock } from './fake-clock.ts'

type Work = (input: never, signal: AbortSignal) => unknown

/** Runs functions as nodes, on a clock that is turned by hand, and keeps a diary. */
class Rig {
  readonly clock = new FakeClock()
  readonly diary: string[] = []
  readonly #work: Readonly<Record<string, Work>>

  constructor(work: Readonly<Record<string, Work>>) {
    this.#work = work
  }

  sleep(ms: number): Promise<void> {
    return new Promise((resolve) => this.clock.after(ms, resolve))
  }

  run(
    nodes: PipelineSpec['nodes'],
    output: PipelineSpec['output'],
    input: unknown,
    signal = new AbortController().signal,
  ) {
    const ports: PipelinePorts = {
      after: (delayMs, run) => this.clock.after(delayMs, run),
      call: async ({ name, node }: PlannedNode, value, ending) => {
        this.diary.push(`${name} at ${this.clock.now()}`)
        const work = this.#work['function' in node ? node.function : '']
        if (work === undefined) throw new Error(`there is no function of node ${name}`)
        return work(value as never, ending)
      },
    }
    return runPipeline(planPipeline({ name: 'test', nodes, output }), input, ports, signal)
  }
}

const node = (work: string, input: PipelineNode['input'], more: object = {}): PipelineNode => ({
  function: work,
  input,
  ...more,
})

test('values are fields of what came before, objects and lists of them, and constants', async () => {
  const rig = new Rig({
    split: (text: string) => ({ words: text.split(' ') }),
    show: (value: unknown) => JSON.stringify(value),
  })
  const nodes = {
    shown: node('show', { first: 'split.words.0', all: ['split.words', { value: 7 }], text: 'input' }),
    split: node('split', 'input'),
  }
  expect(await rig.run(nodes, { json: 'shown' }, 'a b')).toEqual({
    json: '{"first":"a","all":[["a","b"],7],"text":"a b"}',
  })
})

test('branches run at once and meet again', async () => {
  const rig = new Rig({
    slow: async (text: string) => rig.sleep(100).then(() => `${text}!`),
    quick: async (text: string) => rig.sleep(40).then(() => `${text}?`),
    join: (both: string[]) => both.join(' '),
  })
  const nodes = {
    left: node('slow', 'input'),
    right: node('quick', 'input'),
    after: node('quick', 'right'),
    both: node('join', ['left', 'after']),
  }
  const answer = rig.run(nodes, 'both', 'a')
  await rig.clock.advance(100)
  expect(await answer).toBe('a! a??')
  expect(rig.diary).toEqual(['left at 0', 'right at 0', 'after at 40', 'both at 100'])
})

test('a list is taken item by item, all at once, and stays in order', async () => {
  const rig = new Rig({ wait: async (ms: number) => rig.sleep(ms).then(() => ms + 1) })
  const answer = rig.run({ each: node('wait', 'input', { forEach: true }) }, 'each', [30, 10, 20])
  await rig.clock.advance(30)
  expect(await answer).toEqual([31, 11, 21])
  await expect(rig.run({ each: node('wait', 'input', { forEach: true }) }, 'each', 5)).rejects.toMatchObject({
    code: 'bad_request',
    node: 'each',
  })
})

test('a node that fails once is tried again; twice is an error with its name, and its message goes with it', async () => {
  let failures = 1
  const rig = new Rig({
    shaky: (text: string) => {
      if (failures-- > 0) throw new EngineError('backend_failed', 'a pass failed')
      return text
    },
  })
  expect(await rig.run({ a: node('shaky', 'input') }, 'a', 'x')).toBe('x')
  failures = 2
  await expect(rig.run({ a: node('shaky', 'input') }, 'a', 'x')).rejects.toMatchObject({
    code: 'backend_failed',
    node: 'a',
    message: 'Node a of pipeline test: a pass failed',
  })
  failures = 2
  expect(await rig.run({ a: node('shaky', 'input', { retries: 2 }) }, 'a', 'x')).toBe('x')
})

test('what was asked wrongly is not tried again', async () => {
  const rig = new Rig({
    strict: () => {
      throw new EngineError('bad_request', 'not like this')
    },
  })
  await expect(rig.run({ a: node('strict', 'input', { retries: 5 }) }, 'a', 'x')).rejects.toMatchObject({
    code: 'bad_request',
    node: 'a',
  })
  expect(rig.diary).toHaveLength(1)
})

test('each try has its time; the signal of a late one fires', async () => {
  const fired: number[] = []
  const rig = new Rig({
    hang: (_: unknown, signal) => {
      signal.addEventListener('abort', () => fired.push(rig.clock.now()))
      return new Promise(() => {})
    },
  })
  const answer = rig.run({ a: node('hang', 'input', { timeoutMs: 50 }) }, 'a', 'x')
  const refused = expect(answer).rejects.toMatchObject({ code: 'timeout', node: 'a' })
  await rig.clock.advance(120)
  await refused
  expect(fired).toEqual([50, 100])
})

test('a failure ends the other branches, and nothing behind it begins', async () => {
  let ended = false
  const rig = new Rig({
    fail: () => {
      throw new EngineError('backend_failed', 'no')
    },
    hang: (_: unknown, signal) => {
      signal.addEventListener('abort', () => (ended = true))
      return new Promise(() => {})
    },
  })
  const nodes = { a: node('fail', 'input', { retries: 0 }), b: node('hang', 'input'), c: node('hang', 'a') }
  await expect(rig.run(nodes, 'c', 'x')).rejects.toMatchObject({ node: 'a' })
  expect(ended).toBe(true)
  expect(rig.diary).toEqual(['a at 0', 'b at 0'])
})

test('a cancelled request ends what runs', async () => {
  const rig = new Rig({ hang: () => new Promise(() => {}) })
  const stop = new AbortController()
  const answer = rig.run({ a: node('hang', 'input') }, 'a', 'x', stop.signal)
  stop.abort()
  await expect(answer).rejects.toMatchObject({ code: 'aborted' })
})

const REFUSED: readonly (readonly [what: string, spec: object, message: RegExp])[] = [
  [
    'a circle',
    {
      nodes: { a: node('f', 'c'), b: node('f', 'a'), c: node('f', 'b'), d: node('f', 'input') },
      output: 'a',
    },
    /circle: (a → b → c → a|b → c → a → b|c → a → b → c)/,
  ],
  ['a node that waits for itself', { nodes: { a: node('f', 'a') }, output: 'a' }, /circle: a → a/],
  [
    'an unknown source',
    { nodes: { a: node('f', 'b.x') }, output: 'a' },
    /Node a of pipeline test takes b, and there is no such node/,
  ],
  ['an unknown output', { nodes: { a: node('f', 'input') }, output: 'b' }, /output of pipeline test takes b/],
  [
    'a source that is none',
    { nodes: { a: node('f', 'not a source') }, output: 'a' },
    /Node a of pipeline test takes "not a source"/,
  ],
  [
    'no work',
    { nodes: { a: { input: 'input' } }, output: 'a' },
    /either a model's address or a function's name/,
  ],
  [
    'a wrong time',
    { nodes: { a: node('f', 'input', { timeoutMs: 0 }) }, output: 'a' },
    /timeoutMs of node a must be/,
  ],
  ['no nodes', { nodes: {}, output: 'input' }, /has no nodes/],
]
for (const [what, spec, message] of REFUSED)
  test(`${what} is refused before anything runs`, () => {
    expect(() => planPipeline({ name: 'test', ...spec } as PipelineSpec)).toThrow(message)
  })

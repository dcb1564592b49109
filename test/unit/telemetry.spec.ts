import { expect, test } from 'playwright/test'
import type { Listener } from '../../packages/client/src/control/dispatcher.ts'
import type { TelemetryOptions } from '../../packages/client/src/telemetry/telemetry-options.ts'
import { checkedTelemetry } from '../../packages/client/src/telemetry/telemetry-options.ts'
import { Telemetry } from '../../packages/client/src/telemetry/telemetry.ts'
import type { Observer } from '../../packages/engine/src/observer.ts'
import type { GenerateRequest, TelemetryEvent } from '../../packages/protocol/src/index.ts'
import { isSampled } from '../../packages/protocol/src/index.ts'
import { startControl } from './fake-control.ts'
import { startEngine } from './fake-engine.ts'
import { FakeRunner } from './fake-runner.ts'
import { scriptedEngine } from './scripted-engine.ts'

const REQUEST: GenerateRequest = { task: 'generate', model: 'chat', prompt: 'a secret', requestId: 'r' }

test('an engine tells of every request and every step, in the order of its clock', async () => {
  const { events, observer } = listener()
  await scriptedEngine(observer)
  expect(events.map(shortOf)).toEqual([
    ...['0 queued first', '0 queued second', '0 scheduled first', '0 scheduled second'],
    ...['10 first-token first', '10 first-token second', '10 prefill 2 rows 7 tokens 2 running 0 waiting'],
    ...['20 decode 2 rows 2 tokens 1 running 0 waiting', '30 decode 1 rows 1 tokens 0 running 0 waiting'],
    ...['30 queued third', '30 scheduled third', '40 first-token third'],
    ...['40 decode 2 rows 2 tokens 0 running 0 waiting'],
    ...[
      '40 queued fourth',
      '40 queued beside',
      '40 queued waits',
      '40 scheduled fourth',
      '40 scheduled beside',
    ],
    ...['50 first-token fourth', '50 first-token beside', '50 prefill 2 rows 6 tokens 1 running 1 waiting'],
    ...['50 scheduled waits', '60 mixed 2 rows 3 tokens 1 running 0 waiting'],
    ...['70 first-token waits', '70 decode 1 rows 1 tokens 0 running 0 waiting'],
    ...['70 queued fifth', '70 scheduled fifth', '80 queued sixth-0', '80 queued sixth-1'],
    ...['80 scheduled sixth-0', '80 scheduled sixth-1', '90 first-token sixth-0', '90 first-token sixth-1'],
    ...['90 decode 2 rows 2 tokens 2 running 0 waiting', '100 decode 2 rows 2 tokens 2 running 0 waiting'],
    ...['110 decode 2 rows 2 tokens 2 running 0 waiting', '110 queued seventh', '110 preempted sixth-1'],
    ...['110 scheduled seventh', '120 first-token seventh', '120 decode 2 rows 2 tokens 0 running 1 waiting'],
    ...['130 prefill 1 rows 4 tokens 0 running 0 waiting'],
  ])
})

test('nobody listens: nothing is told; and of requests only those that are wanted', async () => {
  const off = listener({ isOn: false })
  await scriptedEngine(off.observer)
  expect(off.events).toEqual([])
  const some = listener({ isSampled: (id) => id === 'first' })
  await scriptedEngine(some.observer)
  expect(some.events.flatMap((event) => ('id' in event ? [event.id] : []))).toEqual(
    Array.from({ length: 3 }, () => 'first'),
  )
  expect(some.events.filter(({ type }) => type === 'step')).toHaveLength(12)
})

test('a lost device is told, and how long it took to go on', async () => {
  const { events, observer } = listener()
  const again = new FakeRunner()
  const { ask, runner } = startEngine({}, {}, () => ((runner.clock += 25), Promise.resolve(again)), observer)
  runner.loseAt = 1
  await ask({ tokens: [1], maxTokens: 1 })
  const lost = events.find(({ type }) => type === 'device-lost')
  expect(lost).toMatchObject({ recoveryMs: 25, recovered: true, worker: 'w', model: 'm@1' })
})

test('the page tells of a request from its call to its last word, and of nothing that it says', async () => {
  const { events, submit, advance } = await startPage({})
  submit({ ...REQUEST, maxTokens: 4, stop: '.', traceparent: 'tp', priority: 2 })
  await advance()
  expect(events.map(({ type }) => type)).toEqual([
    ...['request-start', 'route'],
    ...Array.from({ length: 4 }, () => 'request-tokens'),
    'request-end',
  ])
  expect(events[0]).toMatchObject({
    id: 'r',
    model: 'chat',
    priority: 2,
    traceparent: 'tp',
    params: { operation: 'text_completion', n: 1, maxTokens: 4, stop: ['.'] },
  })
  expect(events[1]).toMatchObject({ model: 'm@1', alias: 'chat' })
  const end = events.at(-1)
  expect(end).toMatchObject({ asked: 'chat', model: 'm@1', alias: 'chat', servedBy: 'local' })
  expect(end).toMatchObject({ traceparent: 'tp', finishReasons: ['stop'], usage: { completionTokens: 4 } })
  expect(JSON.stringify(events)).not.toMatch(/secret|m@1 m@1/) // neither the prompt nor the fake's answer
})

test('content is told to who asks for it', async () => {
  const { events, submit, advance } = await startPage({ content: true })
  submit(REQUEST)
  await advance()
  expect(events[0]).toMatchObject({ input: 'a secret' })
  expect(events.at(-1)).toMatchObject({ output: ['m@1 m@1 m@1 m@1 '] })
})

test('a hook that throws harms nothing, and what fails is told with its code', async () => {
  const { errors, restore } = quietConsole()
  const page = await startPage({}, () => {
    throw new Error('a hook of somebody else')
  })
  page.submit(REQUEST)
  page.submit({ ...REQUEST, model: 'nobody' })
  await page.advance()
  restore()
  expect(page.heard.map(({ type }) => type)).toEqual([
    'error',
    ...Array.from({ length: 4 }, () => 'delta'),
    'finish',
  ])
  expect(errors).toHaveLength(1)
  expect(page.events.filter(({ type }) => type === 'request-end')).toContainEqual(
    expect.objectContaining({ error: 'model_not_loaded', finishReasons: [] }),
  )
})

test('a sample is chosen by the id alone, in its share, and a smaller one is part of a larger', async () => {
  const ids = Array.from({ length: 2000 }, (_, index) => `request-${index}`)
  const few = ids.filter((id) => isSampled(id, 0.1))
  const more = new Set(ids.filter((id) => isSampled(id, 0.4)))
  expect(few.length).toBeGreaterThan(150)
  expect(few.length).toBeLessThan(250)
  expect(more.size).toBeGreaterThan(720)
  expect(more.size).toBeLessThan(880)
  expect(few.every((id) => more.has(id))).toBe(true)
  const { events, submit, advance } = await startPage({ sample: 0 })
  submit(REQUEST)
  await advance()
  expect(events).toEqual([])
})

test('wrong telemetry options are refused', () => {
  for (const options of [{ sample: 2 }, { content: 'yes' }, { hook: 1 }, { hooks: [] }])
    expect(() => checkedTelemetry(options as TelemetryOptions)).toThrow(
      expect.objectContaining({ code: 'bad_request' }),
    )
})

function listener(change: Partial<Observer> = {}) {
  const events: TelemetryEvent[] = []
  const observer: Observer = {
    isOn: true,
    worker: 'w',
    model: 'm@1',
    isSampled: () => true,
    tell: (event) => events.push(event),
    ...change,
  }
  return { events, observer }
}

/** A control plane with `m@1` behind the alias `chat`, and a page's telemetry before it. */
async function startPage(options: Omit<TelemetryOptions, 'hook'>, hook: () => void = () => {}) {
  const { control, clock } = await startControl()
  control.setAlias('chat', { traffic: { 'm@1': 100 } })
  const events: TelemetryEvent[] = []
  const checked = checkedTelemetry({ ...options, hook: (event) => (events.push(event), hook()) })
  const telemetry = new Telemetry(checked!)
  const heard: { type: string }[] = []
  const listener: Listener = { servedBy: () => {}, take: (event) => heard.push(event) }
  return {
    events,
    heard,
    advance: () => clock.advance(1000),
    submit: (request: GenerateRequest) =>
      telemetry.submit(request, listener, (request, listener) =>
        control.submit(request, undefined, listener),
      ),
  }
}

function shortOf(event: TelemetryEvent): string {
  if ('id' in event) return `${event.timeMs} ${event.type.replace('request-', '')} ${event.id}`
  if (event.type !== 'step') return event.type
  const { timeMs, kind, rows, tokens, running, waiting } = event
  return `${timeMs} ${kind} ${rows} rows ${tokens} tokens ${running} running ${waiting} waiting`
}

function quietConsole() {
  const errors: unknown[][] = []
  const { error } = console
  console.error = (...words: unknown[]) => errors.push(words)
  return { errors, restore: () => (console.error = error) }
}

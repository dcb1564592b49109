import type { TelemetryEvent } from '../../packages/protocol/src/index.ts'
import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

test('a hook hears of workers, models, requests and steps, by one clock; a dead worker and its successor too', async ({
  page,
}) => {
  await giveMortalWorkers(page)
  const { events, usage } = await page.evaluate(async (url) => {
    const events: TelemetryEvent[] = []
    const client = await window.tabserve.createClient({
      worker: window.mortal.make,
      telemetry: (event) => events.push(event),
    })
    const { id: model } = await client.load(url)
    const ask = (requestId: string) =>
      client.generate({ model, prompt: 'Once', maxTokens: 40, seed: 1, requestId, traceparent: 'tp' })
    const { usage } = await ask('first')
    // A worker that dies takes with it what it has not told yet.
    while (events.filter(({ type }) => type === 'step').length < 40)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const stream = ask('second')
    for await (const _ of stream) {
      if (!events.some(({ type }) => type === 'worker-down')) window.mortal.tell(-1, 'die')
    }
    await stream
    await new Promise((resolve) => setTimeout(resolve, 300)) // what the worker tells comes on a port of its own
    client.dispose()
    return { events, usage }
  }, MODEL.stories1)
  const of = <T extends TelemetryEvent['type']>(type: T) =>
    events.filter((event): event is Extract<TelemetryEvent, { type: T }> => event.type === type)
  expect(of('worker-up').map(({ worker }) => worker)).toEqual(['worker-1', 'worker-2'])
  expect(of('worker-down')).toMatchObject([{ worker: 'worker-1' }])
  expect(of('worker-restart')).toMatchObject([{ restarts: 1 }])
  const [ready] = of('model-ready')
  expect(ready).toMatchObject({ worker: 'worker-1', model: 'stories@1', runner: 'kernels', device: 'wasm' })
  expect(ready?.load.networkBytes).toBeGreaterThan(1e6)
  expect(of('device-choice')[0]?.choice.device).toBe('wasm')
  const first = (type: TelemetryEvent['type']) =>
    events.find((event) => event.type === type && 'id' in event && event.id === 'first')?.timeMs ?? NaN
  const times = (
    [
      'request-start',
      'request-queued',
      'request-scheduled',
      'request-first-token',
      'request-tokens',
      'request-end',
    ] as const
  ).map(first)
  expect(times).toEqual(times.toSorted((one, other) => one - other))
  expect(Math.abs((times[0] ?? 0) - Date.now())).toBeLessThan(60_000)
  const [end, second] = of('request-end')
  expect(end).toMatchObject({
    id: 'first',
    model: 'stories@1',
    usage,
    traceparent: 'tp',
    finishReasons: ['length'],
  })
  expect([end?.queuedMs, end?.scheduledMs, end?.firstTokenMs]).toEqual(times.slice(1, 4))
  // The page may hear the last word before the step that drew it is booked.
  const steps = of('step').filter(({ timeMs, ms }) => timeMs - ms <= (end?.lastTokenMs ?? 0))
  expect(steps.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0)).toBe(usage.completionTokens)
  for (const { ms, runMs, planMs, copyMs, sampleMs } of steps)
    expect(ms).toBeCloseTo(runMs + planMs + copyMs + sampleMs)
  // The story of a request that two workers have answered is the page's alone.
  expect(second).toMatchObject({ id: 'second', usage: { completionTokens: 40 } })
  expect(second?.queuedMs).toBeUndefined()
})

test('without telemetry no worker is asked to tell anything; with a share of requests the others are not told of', async ({
  page,
}) => {
  const found = await page.evaluate(async (url) => {
    let numAsked = 0
    const { postMessage } = Worker.prototype
    Worker.prototype.postMessage = function (message: { path?: string[] }, ...rest: [never]) {
      if (message.path?.[0] === 'observe') numAsked++
      postMessage.call(this, message, ...rest)
    }
    const run = async (telemetry: object) => {
      const client = await window.tabserve.createClient(telemetry)
      const { id: model } = await client.load(url)
      const ask = (requestId: string) => client.generate({ model, prompt: 'A', maxTokens: 2, requestId })
      await Promise.all(Array.from({ length: 20 }, (_, index) => ask(`request-${index}`)))
      await new Promise((resolve) => setTimeout(resolve, 300))
      client.dispose()
      return numAsked
    }
    const off = await run({})
    const told: string[] = []
    const hook = (event: TelemetryEvent) => 'id' in event && told.push(`${event.id} ${event.type}`)
    const on = await run({ telemetry: { hook, sample: 0.3 } })
    return { off, on, told }
  }, MODEL.stories1)
  expect([found.off, found.on]).toEqual([0, 1])
  const ids = new Set(found.told.map((line) => line.split(' ')[0]))
  expect(ids.size).toBeGreaterThan(0)
  expect(ids.size).toBeLessThan(20)
  for (const id of ids)
    for (const type of ['request-start', 'request-queued', 'request-scheduled', 'request-end'])
      expect(found.told).toContain(`${id} ${type}`)
})

test('of a shared engine every tab hears, and goes on hearing when the tab that holds it closes', async ({
  context,
  page: leader,
}) => {
  const follower = await context.newPage()
  await follower.goto(leader.url())
  for (const tab of [leader, follower])
    await tab.evaluate(async () => {
      const events: TelemetryEvent[] = []
      Object.assign(window, { events })
      const telemetry = (event: TelemetryEvent) => void events.push(event)
      window.client = await window.tabserve.createClient({ share: true, telemetry })
    })
  const ask = (requestId: string) =>
    follower.evaluate(
      async ({ url, requestId }) => {
        const { id: model } = await window.client.load(url)
        await window.client.generate({ model, prompt: 'Once', maxTokens: 4, requestId })
      },
      { url: MODEL.stories1, requestId },
    )
  const heard = (tab: typeof leader, id: string) =>
    tab.evaluate((id) => {
      const { events } = window as unknown as { events: TelemetryEvent[] }
      return events.filter((event) => 'id' in event && event.id === id).map(({ type }) => type)
    }, id)
  await ask('first')
  await expect.poll(() => heard(follower, 'first')).toContain('request-first-token')
  await expect.poll(() => heard(leader, 'first')).toContain('request-first-token')
  expect(await heard(leader, 'first')).not.toContain('request-start') // the other page's own
  await leader.close()
  await expect.poll(() => follower.evaluate(() => window.client.role)).toBe('leader')
  await expect
    .poll(async () => {
      await ask('second')
      return heard(follower, 'second')
    })
    .toContain('request-first-token')
})

test('User Timing shows a request and its parts, and keeps nothing', async ({ page }) => {
  const { measures, left } = await page.evaluate(async (url) => {
    const measures: { name: string; startTime: number; duration: number; track: string }[] = []
    new PerformanceObserver((list) => {
      for (const { name, startTime, duration, detail } of list.getEntries() as PerformanceMeasure[])
        if (name.startsWith('tabserve.'))
          measures.push({ name, startTime, duration, track: detail.devtools.track })
    }).observe({ type: 'measure' })
    const client = await window.tabserve.createClient({ telemetry: { userTiming: true } })
    const { id: model } = await client.load(url)
    await client.generate({ model, prompt: 'Once', maxTokens: 8, requestId: 'r' })
    await new Promise((resolve) => setTimeout(resolve, 300))
    client.dispose()
    return { measures, left: performance.getEntriesByType('measure').length }
  }, MODEL.stories1)
  const [request, queue, prefill, decode] = ['request', 'queue', 'prefill', 'decode'].map((part) =>
    measures.find(({ name }) => name === `tabserve.${part}`),
  )
  expect(request?.track).toBe('request r')
  const ends = [queue, prefill, decode].map((part) => (part?.startTime ?? NaN) + (part?.duration ?? NaN))
  expect(ends[0]).toBeCloseTo(prefill?.startTime ?? NaN, 1)
  expect(ends[1]).toBeCloseTo(decode?.startTime ?? NaN, 1)
  expect(ends[2]).toBeLessThanOrEqual((request?.startTime ?? NaN) + (request?.duration ?? NaN) + 1)
  expect(measures.filter(({ name }) => name.startsWith('tabserve.step.')).length).toBeGreaterThanOrEqual(8)
  expect(left).toBe(0)
})

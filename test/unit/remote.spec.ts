import { expect, test } from 'playwright/test'
import { systemClock } from '../../packages/client/src/control/clock.ts'
import type { FallbackOptions } from '../../packages/client/src/control/fallback.ts'
import { askRemote } from '../../packages/client/src/remote/remote-request.ts'
import { serverSentData } from '../../packages/client/src/remote/server-sent-events.ts'
import { prometheusText } from '../../packages/client/src/telemetry/prometheus.ts'
import { remoteMetricsOf } from '../../packages/client/src/telemetry/remote-metrics.ts'
import type { GenerateRequest, RequestEvent } from '../../packages/protocol/src/index.ts'
import { FakeLlmServer } from '../fake-llm-server.ts'
import { lastWords, startControl } from './fake-control.ts'

let server: FakeLlmServer
let url: string

test.beforeEach(async () => {
  server = new FakeLlmServer()
  url = await server.start()
})
test.afterEach(() => server.stop())

type Asked = Partial<GenerateRequest>

function openAi(change: Partial<FallbackOptions> = {}): FallbackOptions {
  return { protocol: 'openai', url: `${url}/v1`, model: 'big', ...change }
}

function kserve(change: Partial<FallbackOptions> = {}): FallbackOptions {
  return { protocol: 'kserve', url, model: 'big', ...change }
}

/** All that is said, when it has been; `onEvent` may cancel. */
function ask(
  fallback: FallbackOptions,
  request: Asked,
  onEvent: (event: RequestEvent, cancel: () => void) => void = () => {},
): Promise<RequestEvent[]> {
  return new Promise((resolve) => {
    const events: RequestEvent[] = []
    const take = (event: RequestEvent) => {
      events.push(event)
      onEvent(event, () => cancel())
      if (event.type !== 'delta') setTimeout(() => resolve(events), 50) // a second last word would come by then
    }
    const asked = { task: 'generate', model: 'chat', ...request } as const
    const cancel = askRemote(fallback, asked, take, { fetch, clock: systemClock })
  })
}

function textOf(events: readonly RequestEvent[], choice = 0): string {
  return events.map((event) => (event.type === 'delta' && event.choice === choice ? event.text : '')).join('')
}

test('messages go to chat completions and stream back as deltas, with usage and timing', async () => {
  const messages = [{ role: 'user', content: 'Hi' }] as const
  const events = await ask(openAi(), {
    messages,
    maxTokens: 9,
    temperature: 0.5,
    topK: 3,
    stop: ['x'],
    seed: 4,
  })
  expect(events.map(({ type }) => type)).toEqual(['delta', 'delta', 'delta', 'delta', 'finish'])
  expect(textOf(events)).toBe('Once upon a time')
  expect(events.at(-1)).toMatchObject({
    choices: [{ reason: 'stop' }],
    usage: { promptTokens: 7, cachedTokens: 3, completionTokens: 4 },
    timing: { firstTokenMs: expect.any(Number), totalMs: expect.any(Number) },
  })
  expect(server.received).toMatchObject([{ path: '/v1/chat/completions' }])
  expect(server.received[0]?.body).toEqual({
    model: 'big',
    messages,
    max_tokens: 9,
    temperature: 0.5,
    top_k: 3,
    stop: ['x'],
    seed: 4,
    stream: true,
    stream_options: { include_usage: true },
  })
})

test('a prompt goes to completions, several answers come apart', async () => {
  const events = await ask(openAi(), { prompt: 'Hi', n: 2 })
  expect(server.received).toMatchObject([{ path: '/v1/completions', body: { prompt: 'Hi', n: 2 } }])
  expect(textOf(events, 0)).toBe('Once upon a time')
  expect(textOf(events, 1)).toBe('Once upon a time')
  expect(events.at(-1)).toMatchObject({ choices: [{ reason: 'stop' }, { reason: 'stop' }] })
})

test('a prompt goes to KServe’s generate extension, with or without a version', async () => {
  const sampling = { maxTokens: 5, temperature: 0.5, topK: 3, stop: ['x'], seed: 4, ignoreEos: true }
  const events = await ask(kserve(), { prompt: 'Hi', ...sampling })
  expect(textOf(events)).toBe('Once upon a time')
  expect(events.at(-1)).toMatchObject({ type: 'finish', choices: [{ reason: 'stop' }] })
  await ask(kserve({ model: 'big@3' }), { prompt: 'Hi' })
  expect(server.received.map(({ path }) => path)).toEqual([
    '/v2/models/big/generate_stream',
    '/v2/models/big/versions/3/generate_stream',
  ])
  const parameters = { max_tokens: 5, temperature: 0.5, top_k: 3, stop: 'x', seed: 4, ignore_eos: true }
  expect(server.received[0]?.body).toEqual({ text_input: 'Hi', parameters: { ...parameters, stream: true } })
})

test('what KServe’s servers refuse is told with their words, before the answer and in the middle', async () => {
  server.behaviour.status = 500
  const refused = await ask(kserve(), { prompt: 'Hi' })
  expect(refused).toMatchObject([
    { error: { code: 'backend_failed', message: expect.stringContaining('says no') } },
  ])
  Object.assign(server.behaviour, { status: 200, ending: 'fail' })
  const failed = await ask(kserve(), { prompt: 'Hi' })
  expect(failed.at(-1)).toMatchObject({ error: { message: 'The server failed: out of memory' } })
  // Parameters that are no $parameter: the server would not understand them.
  const wrong = await ask(kserve({ extraBody: { parameters: { stop: ['x', 'y'] } } }), { prompt: 'Hi' })
  expect(wrong).toMatchObject([
    { error: { code: 'bad_request', message: expect.stringContaining('parameter stop') } },
  ])
})

test('headers are asked for before every request, and the body can be added to', async () => {
  let asked = 0
  const headers = () => Promise.resolve({ authorization: `Bearer ${++asked}` })
  const fallback = openAi({ headers, extraBody: { user: 'somebody' } })
  await ask(fallback, { prompt: 'Hi' })
  await ask(fallback, { prompt: 'Hi' })
  expect(server.received.map((each) => each.headers.authorization)).toEqual(['Bearer 1', 'Bearer 2'])
  expect(server.received[0]?.body['user']).toBe('somebody')
})

test('a server that does not stream is understood, too', async () => {
  server.behaviour.ending = 'whole'
  const events = await ask(openAi(), { messages: [{ role: 'user', content: 'Hi' }] })
  expect(textOf(events)).toBe('Once upon a time')
  expect(events.at(-1)).toMatchObject({ choices: [{ reason: 'length' }], usage: { promptTokens: 7 } })
})

test('cancelling ends the answer with what it has, and the connection with it', async () => {
  server.behaviour.gapMs = 100
  const events = await ask(openAi(), { prompt: 'Hi' }, (event, cancel) => event.type === 'delta' && cancel())
  expect(events).toMatchObject([{ type: 'delta' }, { type: 'finish', choices: [{ reason: 'abort' }] }])
  await expect.poll(() => server.numAborted).toBe(1)
})

test('a deadline ends an answer that has begun, and fails one that has not', async () => {
  server.behaviour.gapMs = 400
  const begun = await ask(openAi(), { prompt: 'Hi', timeoutMs: 200 })
  expect(begun).toMatchObject([{ text: 'Once' }, { type: 'finish', choices: [{ reason: 'timeout' }] }])
  const events: RequestEvent[] = []
  const hanging = () => new Promise<Response>(() => {})
  const request = { task: 'generate', model: 'chat', prompt: 'Hi', timeoutMs: 20 } as const
  askRemote(openAi(), request, (event) => events.push(event), { fetch: hanging, clock: systemClock })
  await expect.poll(() => events).toMatchObject([{ type: 'error', error: { code: 'timeout' } }])
})

const FAILURES = [
  ['refuses the request', { status: 400 }, 'bad_request', 'the server says no'],
  ['wants a key', { status: 401 }, 'bad_request', 'fallback.headers'],
  ['does not have the model', { status: 404 }, 'model_not_found', ''],
  ['is full', { status: 429 }, 'queue_full', ''],
  ['is broken', { status: 500 }, 'backend_failed', ''],
  ['cuts the answer', { ending: 'cut' }, 'network', ''],
  ['fails in the middle', { ending: 'fail' }, 'backend_failed', 'out of memory'],
] as const
for (const [what, behaviour, code, words] of FAILURES) {
  test(`a server that ${what} ends the request with one ${code}`, async () => {
    Object.assign(server.behaviour, behaviour)
    const last = (await ask(openAi(), { prompt: 'Hi' })).filter(({ type }) => type !== 'delta')
    expect(last).toMatchObject([{ type: 'error', error: { code, message: expect.stringContaining(words) } }])
    if (code === 'queue_full') expect(last).toMatchObject([{ error: { retryAfterMs: 2000 } }])
  })
}

test('a server that is not there is said to be so', async () => {
  const events = await ask(openAi({ url: 'http://127.0.0.1:9/v1' }), { prompt: 'Hi' })
  expect(events).toMatchObject([{ type: 'error', error: { code: 'network' } }])
})

test('events are found whatever the cuts between chunks and the ends of lines', async () => {
  const text = 'data: a\r\ndata: b\r\n\r\n: comment\nevent: x\ndata:ä\n\ndata: last'
  const bytes = new TextEncoder().encode(text)
  for (let size = 1; size < 12; size++) {
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.slice(index * size, (index + 1) * size),
    )
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => {
        const chunk = chunks.shift()
        if (chunk === undefined) controller.close()
        else controller.enqueue(chunk)
      },
    })
    const found: string[] = []
    for await (const data of serverSentData(body)) found.push(data)
    expect(found).toEqual(['a\nb', 'ä', 'last'])
  }
})

/** An alias `chat` at `m@1` with a fallback to the server. */
async function startWithFallback(fallback?: FallbackOptions, alias: { model?: string } = {}) {
  const parts = await startControl({
    askRemote: (options, request, take) => askRemote(options, request, take, { fetch, clock: systemClock }),
  })
  const traffic = { [alias.model ?? 'm@1']: 100 }
  parts.control.setAlias('chat', { traffic, ...(fallback === undefined ? {} : { fallback }) })
  return parts
}

test('a full queue sends the request to the server, and the answer says so', async () => {
  const { ask, host, clock } = await startWithFallback(openAi())
  host.behave('m@1', { failure: () => 'queue_full' })
  const told = ask('chat')
  await clock.advance(100)
  await expect.poll(() => lastWords(told)).toMatchObject([{ type: 'finish' }])
  expect(told.servers.at(-1)).toEqual({
    where: 'remote',
    model: 'big',
    alias: 'chat',
    url: `${url}/v1`,
    reason: 'overload',
  })
  expect(told.events.some((event) => event.type === 'delta' && event.text === 'Once')).toBe(true)
  expect(server.received).toHaveLength(1)
})

test('what a server has answered is reported by alias, server and reason, apart from the versions', async () => {
  const { ask, host, clock, control } = await startWithFallback(openAi())
  expect(control.remoteReports()).toEqual([])
  host.behave('m@1', { failure: () => 'queue_full' })
  const answered = [ask('chat'), ask('chat')]
  await clock.advance(100)
  for (const told of answered) await expect.poll(() => lastWords(told)).toMatchObject([{ type: 'finish' }])
  server.behaviour.status = 500
  const failed = ask('chat')
  await clock.advance(100)
  expect(control.remoteReports()).toMatchObject([{ inFlight: 1 }])
  await expect.poll(() => lastWords(failed)).toMatchObject([{ type: 'error' }])
  const reports = control.remoteReports()
  expect(reports).toEqual([
    {
      ...{ alias: 'chat', model: 'big', url: `${url}/v1`, reasons: { overload: 3 } },
      ...{ inFlight: 0, requests: 3, errors: 1 },
      ttftMs: { p50: expect.any(Number), p95: expect.any(Number) },
      interTokenMs: { p50: expect.any(Number), p95: expect.any(Number) },
    },
  ])
  expect(control.reports()).toMatchObject([{ model: 'm@1', traffic: 'live', requests: 3, errors: 3 }, {}])
  const text = prometheusText(remoteMetricsOf(reports))
  const labels = `alias="chat",server="${url}/v1",model_name="big"`
  expect(text).toContain(`tabserve:remote_requests_total{${labels},reason="overload"} 3\n`)
  expect(text).toContain(`tabserve:remote_request_failure_total{${labels}} 1\n`)
})

test('a version that did not load here is answered for by the server, by the reason why', async () => {
  const { ask, host, clock, control } = await startWithFallback(openAi(), { model: 'm@2' })
  const reasons: unknown[] = []
  for (const loadError of ['memory', 'backend_failed'] as const) {
    host.behave('m@2', { loadError })
    const loading = control.load('m@2', {}).catch(() => {})
    await clock.advance(100)
    await loading
    const told = ask('chat')
    await clock.advance(100)
    await expect.poll(() => lastWords(told)).toMatchObject([{ type: 'finish' }])
    const server = told.servers.at(-1)
    reasons.push(server?.where === 'remote' && server.reason)
  }
  expect(reasons).toEqual(['model_too_large', 'unsupported_device'])
})

const STAYS = [
  ['no condition is met', 'backend_failed', {}, {}],
  ['the condition is not one of those stated', 'queue_full', { on: ['model_too_large'] }, {}],
  ['the request means tokens of the local model', 'queue_full', {}, { promptTokens: [1] }],
  ['the answer is held to a form', 'queue_full', {}, { structuredOutputs: { regex: 'a+' } }],
  ['KServe’s protocol has no words for it', 'queue_full', { protocol: 'kserve' }, { stop: ['x', 'y'] }],
  ['KServe’s protocol has no conversations', 'queue_full', { protocol: 'kserve' }, { messages: [] }],
  ['the download of the model failed', 'network', {}, {}],
] as const
for (const [what, failure, change, request] of STAYS) {
  test(`the server hears nothing where ${what}`, async () => {
    const { ask, host, clock } = await startWithFallback(openAi(change as Partial<FallbackOptions>))
    host.behave('m@1', { failure: () => failure })
    const told = ask('chat', request)
    await clock.advance(100)
    expect(lastWords(told)).toMatchObject([{ type: 'error', error: { code: failure } }])
    expect(told.servers).toEqual([{ where: 'local', model: 'm@1', alias: 'chat' }])
    expect(server.received).toEqual([])
  })
}

test('without a fallback, or by the model’s own name, a full queue stays a full queue', async () => {
  const without = await startWithFallback()
  const beside = await startWithFallback(openAi())
  for (const [{ ask, host, clock }, name] of [
    [without, 'chat'],
    [beside, 'm@1'],
  ] as const) {
    host.behave('m@1', { failure: () => 'queue_full' })
    const told = ask(name)
    await clock.advance(100)
    expect(lastWords(told)).toMatchObject([{ type: 'error', error: { code: 'queue_full' } }])
  }
  expect(server.received).toEqual([])
})

test('what has begun to be answered here never goes to the server', async () => {
  const { ask, host, clock } = await startWithFallback(openAi())
  host.behave('m@1', { failure: () => 'queue_full', failAfter: 2 })
  const told = ask('chat')
  await clock.advance(100)
  expect(told.events.map(({ type }) => type)).toEqual(['delta', 'delta', 'error'])
  expect(told.servers).toHaveLength(1)
  expect(server.received).toEqual([])
})

const BAD: readonly [what: string, change: object, words: string][] = [
  ['an unknown protocol', { protocol: 'grpc' }, 'grpc'],
  ['a relative address', { url: '/v1' }, 'absolute'],
  ['no model', { model: '' }, 'model'],
  ['an unknown condition', { on: ['rain'] }, 'rain'],
  ['an unknown option', { apiKey: 'x' }, 'apiKey'],
]
for (const [what, change, words] of BAD) {
  test(`a fallback with ${what} is refused`, async () => {
    await expect(startWithFallback({ ...openAi(), ...change } as FallbackOptions)).rejects.toThrow(words)
  })
}

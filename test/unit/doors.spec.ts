import { expect, test } from 'playwright/test'
import { openAIRoutes } from '../../packages/client/src/doors/http/openai-routes.ts'
import { serveRoutes } from '../../packages/client/src/doors/http/serve-routes.ts'
import { SERVER_VERSION } from '../../packages/client/src/doors/kserve/kserve-door.ts'
import { OpenAIDoor } from '../../packages/client/src/doors/openai/openai-door.ts'
import type { ServedClient } from '../../packages/client/src/doors/served-client.ts'
import manifest from '../../packages/tabserve/package.json' with { type: 'json' }
import { FakeClient } from './fake-client.ts'

const MESSAGES = [{ role: 'user' as const, content: 'hi' }]

function open() {
  const client = new FakeClient()
  const door = new OpenAIDoor(client as unknown as ServedClient)
  const fetch = serveRoutes([openAIRoutes(door)])
  const post = (path: string, body: unknown, init: RequestInit = {}) =>
    fetch(`https://tab.local/any/base${path}`, { method: 'POST', body: JSON.stringify(body), ...init })
  return { client, door, post }
}

/** Lets everything that was said be heard. */
const settled = () => new Promise((resolve) => setTimeout(resolve, 5))

test("OpenAI's names and vLLM's become ours, and null is as good as absent", async () => {
  const { client, door } = open()
  const answer = door.chat.completions.create(
    {
      model: 'm',
      messages: [
        {
          role: 'developer',
          content: [
            { type: 'text', text: 'be ' },
            { type: 'text', text: 'brief' },
          ],
        },
      ],
      max_completion_tokens: 5,
      top_p: 0.5,
      stop: null,
      logit_bias: { 3: -100 },
      min_p: 0.1,
      priority: -1,
      deadlineMs: 1000,
      user: 'me',
    },
    {},
  )
  client.asked[0]?.say('yes')
  client.asked[0]?.finish()
  expect(client.asked[0]?.options).toEqual({
    model: 'm',
    messages: [{ role: 'system', content: 'be brief' }],
    separateReasoning: true,
    maxTokens: 5,
    topP: 0.5,
    logitBias: { 3: -100 },
    minP: 0.1,
    priority: -1,
    timeoutMs: 1000,
  })
  expect((await answer).choices[0]).toMatchObject({ message: { content: 'yes' }, finish_reason: 'stop' })
})

test("an error about one of our options speaks of the caller's field", async () => {
  const { client, post } = open()
  const answer = post('/v1/completions', { model: 'm', prompt: 'a', top_p: 7 })
  await settled()
  client.asked[0]?.fail({ code: 'bad_request', message: 'topP must be at most 1.', param: 'topP' })
  const response = await answer
  expect(response.status).toBe(400)
  expect(await response.json()).toEqual({
    error: {
      message: 'top_p must be at most 1.',
      type: 'invalid_request_error',
      param: 'top_p',
      code: 'bad_request',
    },
  })
})

const STATUSES = [
  ['queue_full', 429],
  ['model_not_loaded', 404],
  ['context_overflow', 400],
  ['timeout', 504],
  ['engine_lost', 500],
] as const

for (const [code, status] of STATUSES) {
  test(`${code} is status ${status}, for a stream too`, async () => {
    for (const stream of [false, true]) {
      const { client, post } = open()
      const answer = post('/v1/chat/completions', { model: 'm', messages: MESSAGES, stream })
      await settled()
      client.asked[0]?.fail({ code, message: 'no', retryAfterMs: 1500 })
      const { status: found, headers } = await answer
      expect(found).toBe(status)
      if (code === 'queue_full')
        expect([headers.get('retry-after'), headers.get('retry-after-ms')]).toEqual(['2', '1500'])
      if (code === 'timeout') expect(headers.get('x-should-retry')).toBe('false')
    }
  })
}

test('an error in the middle of a stream is its last event', async () => {
  const { client, post } = open()
  const answer = post('/v1/chat/completions', { model: 'm', messages: MESSAGES, stream: true })
  await settled()
  client.asked[0]?.say('half')
  client.asked[0]?.fail({ code: 'engine_lost', message: 'gone' })
  const events = (await (await answer).text()).trim().split('\n\n')
  expect(events.at(-1)).toBe(
    'data: {"error":{"message":"gone","type":"server_error","param":null,"code":"engine_lost"}}',
  )
  expect(events.join()).toContain('half')
})

test('a reader that leaves cancels at once, while the next token is far', async () => {
  const { client, post } = open()
  const answer = post('/v1/chat/completions', { model: 'm', messages: MESSAGES, stream: true })
  await settled()
  client.asked[0]?.say('a')
  const { body } = await answer
  await body?.cancel()
  expect(client.asked[0]?.isCancelled).toBe(true)
})

test('an abort rejects as fetch does, before the head and in the body, and cancels', async () => {
  const { client, post } = open()
  const body = { model: 'm', messages: MESSAGES, stream: true }
  const before = new AbortController()
  const pending = post('/v1/chat/completions', body, { signal: before.signal })
  await settled()
  before.abort()
  await expect(pending).rejects.toMatchObject({ name: 'AbortError' })
  expect(client.asked[0]?.isCancelled).toBe(true)
  const during = new AbortController()
  const answer = post('/v1/chat/completions', body, { signal: during.signal })
  await settled()
  client.asked[1]?.say('a')
  const { body: stream } = await answer
  const reader = stream!.getReader()
  await reader.read()
  during.abort()
  await expect(
    reader
      .read()
      .then(() => reader.read())
      .then(() => reader.read()),
  ).rejects.toMatchObject({
    name: 'AbortError',
  })
  expect(client.asked[1]?.isCancelled).toBe(true)
})

test('leaving the loop over several prompts cancels those that have not begun', async () => {
  const { client, door } = open()
  const answer = door.completions.create({ model: 'm', prompt: ['a', 'b'], stream: true })
  await settled()
  client.asked[0]?.say('x')
  for await (const { choices } of await answer) {
    expect(choices[0]).toMatchObject({ index: 0, text: 'x' })
    break
  }
  expect(client.asked.map(({ isCancelled }) => isCancelled)).toEqual([true, true])
})

test('one prompt of several that fails ends the others', async () => {
  const { client, door } = open()
  const answer = door.completions.create({ model: 'm', prompt: ['a', 'b'] })
  await settled()
  client.asked[1]?.fail({ code: 'context_overflow', message: 'long' })
  await expect(answer).rejects.toMatchObject({ code: 'context_overflow' })
  expect(client.asked[0]?.isCancelled).toBe(true)
})

const UNSUPPORTED = [
  ['chat', { model: 'm', messages: MESSAGES, response_format: { type: 'grammar' } }, 'response_format'],
  ['chat', { model: 'm', messages: MESSAGES, audio: {} }, 'audio'],
  ['chat', { model: 'm', messages: MESSAGES, anything: 1 }, 'anything'],
  ['chat', { model: 'm', messages: [{ role: 'function', content: 'a' }] }, 'messages[0].role'],
  ['completions', { model: 'm', prompt: 'a', suffix: 'b' }, 'suffix'],
  ['completions', { model: 'm', prompt: 'a', best_of: 3 }, 'best_of'],
  ['responses', { model: 'm', input: 'a', previous_response_id: 'x' }, 'previous_response_id'],
  ['responses', { model: 'm', input: [{ type: 'item_reference', id: 'x' }] }, 'input[0]'],
  ['responses', { model: 'm', input: 'a', text: { format: { type: 'grammar' } } }, 'text.format'],
  ['responses', { model: 'm', input: 'a', text: { verbosity: 'low' } }, 'text.verbosity'],
  ['chat', { model: 'm', messages: MESSAGES, tools: [{ type: 'custom', custom: {} }] }, 'tools[0].type'],
  ['responses', { model: 'm', input: 'a', tools: [{ type: 'web_search' }] }, 'tools[0].type'],
] as const

for (const [endpoint, body, param] of UNSUPPORTED) {
  test(`${endpoint} refuses ${param} as unsupported_parameter, and asks nobody`, async () => {
    const { client, door } = open()
    const refused = {
      chat: () => door.chat.completions.create(body as never),
      completions: () => door.completions.create(body as never),
      responses: () => door.responses.create(body as never),
    }[endpoint]()
    await expect(refused).rejects.toMatchObject({ code: 'unsupported_parameter', param })
    expect(client.asked).toEqual([])
  })
}

test('the version that KServe is told is the one that is published', () => {
  expect(SERVER_VERSION).toBe(manifest.version)
})

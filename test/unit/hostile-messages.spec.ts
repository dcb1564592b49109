import fc from 'fast-check'
import { expect, test } from 'playwright/test'
import { openAIRoutes } from '../../packages/client/src/doors/http/openai-routes.ts'
import { serveRoutes } from '../../packages/client/src/doors/http/serve-routes.ts'
import { OpenAIDoor } from '../../packages/client/src/doors/openai/openai-door.ts'
import type { ServedClient } from '../../packages/client/src/doors/served-client.ts'
import { refuseUnknownOptions } from '../../packages/engine/src/sampling-params.ts'
import type { GenerateRequest } from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import { startBroker } from '../../packages/worker/src/broker.ts'
import { OpenRequests } from '../../packages/worker/src/open-requests.ts'
import { mutatedJson } from '../hostile/mutations.ts'
import { lastOf, prompt, startEngine } from './fake-engine.ts'
import { FakeClient } from './fake-client.ts'

const RUNS = { numRuns: 300, seed: 20261125, includeErrorInReport: true } as const

const REQUEST = {
  maxTokens: 2,
  temperature: 0.5,
  topK: 3,
  topP: 0.9,
  minP: 0.1,
  repetitionPenalty: 1.1,
  presencePenalty: 0.1,
  frequencyPenalty: 0.1,
  logitBias: { 3: 1 },
  stop: ['x'],
  stopTokenIds: [1],
  minTokens: 1,
  allowedTokenIds: [1, 2],
  ignoreEos: true,
  seed: 1,
  logprobs: 1,
  n: 2,
  priority: 1,
  timeoutMs: 1000,
  contextOverflow: 'stop',
  cacheSalt: 'a',
}

test('a request of hostile options is refused by a typed error, or ends in one last word, and the engine goes on', async () => {
  const { engine, ask } = startEngine({}, { maxWaiting: 10_000 })
  let refused = 0
  await fc.assert(
    fc.asyncProperty(mutatedJson(REQUEST), async (value) => {
      // Long answers are cut: what is looked at are the options.
      const options = { ...(value as Omit<GenerateRequest, 'task' | 'model'>) }
      try {
        refuseUnknownOptions({ task: 'generate', model: 'm', ...options })
        const last = await new Promise((resolve) => {
          const cancel = engine.submit(prompt({ tokens: [1, 2], eos: true, ...options }), (event) => {
            if (event.type === 'delta') cancel()
            else resolve(event)
          })
        })
        expect(last).toMatchObject({ type: 'finish' })
      } catch (error) {
        refused++
        expect(error).toBeInstanceOf(EngineError)
      }
      expect('polluted' in {}).toBe(false)
    }),
    RUNS,
  )
  expect(refused).toBeGreaterThan(100)
  expect(lastOf(await ask({ tokens: [1], maxTokens: 3 }))).toMatchObject({ type: 'finish' })
})

const BODY = {
  model: 'm',
  messages: [
    { role: 'system', content: 'be brief' },
    { role: 'user', content: [{ type: 'text', text: 'hi' }] },
  ],
  max_completion_tokens: 2,
  temperature: 1,
  stop: ['x'],
  logit_bias: { 3: -100 },
  n: 1,
  seed: 3,
  response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'object' } } },
  stream: false,
  user: 'me',
}

test('a hostile body is answered with a status below 500 and JSON', async () => {
  const client = new FakeClient()
  const fetch = serveRoutes([openAIRoutes(new OpenAIDoor(client as unknown as ServedClient))])
  await fc.assert(
    fc.asyncProperty(mutatedJson(BODY), async (body) => {
      const asked = client.asked.length
      const answering = fetch('https://tab.local/v1/chat/completions', {
        method: 'POST',
        body: JSON.stringify(body),
      })
      await new Promise((resolve) => setImmediate(resolve))
      for (const { options, finish, fail } of client.asked.slice(asked)) {
        // As the worker does, which looks at every value.
        if (options.n === undefined || (Number.isInteger(options.n) && options.n > 0 && options.n <= 128))
          finish()
        else fail({ code: 'bad_request', message: 'n must be a whole number.' })
      }
      const response = await answering
      expect(response.status).toBeLessThan(500)
      if (response.headers.get('content-type')?.includes('json') === true) await response.json()
      else await response.text()
    }),
    RUNS,
  )
})

const MESSAGES: readonly unknown[] = [
  null,
  undefined,
  0,
  'cancel',
  [],
  {},
  { type: '__proto__' },
  { type: 'connect' },
  { type: 'connect', tab: 1, port: {} },
  { type: 'hold', held: null },
  { type: 'lead', extra: true },
]

test('anything said to the broker is passed over, and a leader is still brought together with who asks', async () => {
  let connect: ((event: MessageEvent) => void) | undefined
  startBroker({ addEventListener: (_, listener) => (connect = listener) })
  const channels = [new MessageChannel(), new MessageChannel(), new MessageChannel()] as const
  const heard = channels.map(({ port1, port2 }) => {
    connect?.({ ports: [port2] } as unknown as MessageEvent)
    const events: { type: string }[] = []
    port1.onmessage = ({ data }) => events.push(data as { type: string })
    return events
  })
  const [hostile, leader, other] = channels
  for (const message of MESSAGES.slice(0, -1)) hostile.port1.postMessage(message)
  leader.port1.postMessage({ type: 'lead' })
  const line = new MessageChannel()
  other.port1.postMessage({ type: 'connect', tab: 'other', port: line.port2 }, [line.port2])
  await expect.poll(() => heard[1]?.map(({ type }) => type)).toEqual(['leading', 'connect'])
  for (const { port1 } of channels) port1.close()
  line.port1.close()
})

test("anything said on a request's port but `cancel` changes nothing", async () => {
  const requests = new OpenRequests()
  const { port1, port2 } = new MessageChannel()
  let cancelled = 0
  const ended = requests.open(
    'a',
    port2,
    (emit) => () => {
      cancelled++
      emit({ type: 'error', error: { code: 'aborted', message: 'cancelled' } })
    },
    false,
  )
  for (const message of MESSAGES) port1.postMessage(message)
  await new Promise((resolve) => setTimeout(resolve, 20))
  expect(cancelled).toBe(0)
  port1.postMessage({ type: 'cancel' })
  await ended
  expect(cancelled).toBe(1)
  port1.close()
})

import type OpenAI from 'openai'
import type {
  ChatCompletion,
  ChatCompletionChunk,
  Completion,
  ResponseObject,
  ResponseStreamEvent,
} from 'tabserve'
import { expect, test } from './fixtures.ts'
import { giveSdk } from './openai-sdk.ts'

const ASK = [{ role: 'user', content: 'a story about a cat' }] as const

test.beforeEach(({ doorsPage }) => giveSdk(doorsPage))

test("the openai package's chat gives the same text at once, as a stream, and as the object does", async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async (messages) => {
    const request = { model: 'stories', messages: [...messages], max_completion_tokens: 30, temperature: 0 }
    const whole = await window.sdk.chat.completions.create(request)
    const stream = await window.sdk.chat.completions.create({
      ...request,
      stream: true,
      stream_options: { include_usage: true },
    })
    const chunks = []
    for await (const chunk of stream) chunks.push(chunk)
    const object = await window.client.chat.completions.create(request)
    const native = await window.client.generate({
      model: 'stories',
      messages: [...messages],
      maxTokens: 30,
      temperature: 0,
    })
    return { whole, chunks, object, native: native.text }
  }, ASK)
  const { whole, chunks, object, native } = found
  expect(native.length).toBeGreaterThan(40)
  expect(whole).toMatchObject({
    object: 'chat.completion',
    model: 'stories',
    choices: [{ index: 0, finish_reason: 'length', message: { role: 'assistant', content: native } }],
    usage: { completion_tokens: 30 },
  })
  expect(object).toMatchObject({ choices: whole.choices, model: whole.model })
  expect(chunks[0]?.choices[0]?.delta).toEqual({ role: 'assistant', content: '' })
  expect(chunks.map((chunk) => chunk.choices[0]?.delta.content ?? '').join('')).toBe(native)
  expect(chunks.filter(({ choices }) => choices[0]?.finish_reason != null)).toHaveLength(1)
  expect(chunks.at(-2)?.choices[0]?.finish_reason).toBe('length')
  const last = chunks.at(-1)
  expect(last?.choices).toEqual([])
  expect(last?.usage).toMatchObject({
    prompt_tokens: whole.usage?.prompt_tokens,
    completion_tokens: 30,
    // All but the last token of the prompt was there.
    prompt_tokens_details: { cached_tokens: (whole.usage?.prompt_tokens ?? 0) - 1 },
  })
  expect(new Set(chunks.map(({ id }) => id)).size).toBe(1)
})

test('log-probabilities carry texts and bytes that add up to the answer, for every choice', async ({
  doorsPage,
}) => {
  const { whole, chunks } = await doorsPage.evaluate(async (messages) => {
    const request = {
      model: 'stories@1',
      messages: [...messages],
      max_tokens: 12,
      n: 2,
      seed: 7,
      logprobs: true,
      top_logprobs: 3,
    }
    const whole = await window.sdk.chat.completions.create(request)
    const chunks = []
    for await (const chunk of await window.sdk.chat.completions.create({ ...request, stream: true }))
      chunks.push(chunk)
    return { whole, chunks }
  }, ASK)
  expect(whole.choices.map(({ index }) => index)).toEqual([0, 1])
  expect(whole.choices[0]?.message.content).not.toBe(whole.choices[1]?.message.content)
  for (const { index, message, logprobs } of whole.choices) {
    const content = logprobs?.content ?? []
    expect(content).toHaveLength(12)
    expect(
      content
        .map(({ token }) => token)
        .join('')
        .trimStart(),
    ).toBe(message.content?.trimStart())
    expect(content.every(({ top_logprobs }) => top_logprobs.length === 3)).toBe(true)
    const bytes = content.flatMap(({ bytes }) => bytes ?? [])
    expect(new TextDecoder().decode(new Uint8Array(bytes)).trimStart()).toBe(message.content?.trimStart())
    const streamed = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
    expect(streamed.map(({ delta }) => delta.content ?? '').join('')).toBe(message.content)
    expect(streamed.flatMap((choice) => choice.logprobs?.content ?? [])).toEqual(content)
  }
})

test('completions take several prompts, echo, stop and token ids', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async () => {
    const request = { model: 'stories', temperature: 0, max_tokens: 12 }
    const prompt = ['Once upon a time', 'Tom had a dog']
    const whole = await window.sdk.completions.create({
      ...request,
      prompt,
      echo: true,
      n: 2,
      logprobs: null,
    })
    const pieces = ['', '']
    const stream = await window.sdk.completions.create({ ...request, prompt, stream: true })
    for await (const { choices } of stream) for (const { index, text } of choices) pieces[index] += text
    const tokens = await window.client.tokenize({ model: 'stories', prompt: prompt[0]! })
    const fromTokens = await window.sdk.completions.create({ ...request, prompt: [...tokens], logprobs: 2 })
    const stop = pieces[0]!.slice(8, 12)
    const stopped = await window.sdk.completions.create({ ...request, prompt: prompt[0]!, stop })
    const sixteen = await window.client.completions.create({
      model: 'stories',
      prompt: prompt[0]!,
      temperature: 0,
    })
    return { prompt, whole, pieces, fromTokens, stop, stopped, sixteen }
  })
  const { prompt, whole, pieces } = found
  expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3])
  expect(whole.choices.map(({ text }) => text)).toEqual([
    prompt[0]! + pieces[0],
    prompt[0]! + pieces[0],
    prompt[1]! + pieces[1],
    prompt[1]! + pieces[1],
  ])
  expect(whole.usage?.completion_tokens).toBe(48)
  expect(found.fromTokens.choices[0]?.text).toBe(pieces[0])
  const logprobs = found.fromTokens.choices[0]?.logprobs
  expect(logprobs?.tokens?.join('')).toBe(pieces[0])
  expect(logprobs?.text_offset?.[1]).toBe(logprobs?.tokens?.[0]?.length)
  expect(Object.keys(logprobs?.top_logprobs?.[0] ?? {})).toHaveLength(2)
  expect(found.stopped.choices[0]).toMatchObject({
    finish_reason: 'stop',
    text: pieces[0]!.slice(0, pieces[0]!.indexOf(found.stop)),
  })
  expect(found.sixteen.usage.completion_tokens).toBe(16)
})

test('responses answer with text and tell their stream in events', async ({ doorsPage }) => {
  const { whole, events } = await doorsPage.evaluate(async (messages) => {
    const request = { model: 'stories', input: messages[0]!.content, max_output_tokens: 20, temperature: 0 }
    const whole = await window.sdk.responses.create(request)
    const events = []
    for await (const event of await window.sdk.responses.create({ ...request, stream: true }))
      events.push(event)
    return { whole, events }
  }, ASK)
  expect(whole).toMatchObject({ status: 'incomplete', incomplete_details: { reason: 'max_output_tokens' } })
  expect(whole.output_text.length).toBeGreaterThan(20)
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index))
  const deltas = events.flatMap((event) => (event.type === 'response.output_text.delta' ? [event.delta] : []))
  expect(deltas.join('')).toBe(whole.output_text)
  const last = events.at(-1)
  expect(last?.type === 'response.incomplete' && last.response.usage?.output_tokens).toBe(20)
})

test('models are listed and found', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async () => {
    const ids = []
    for await (const { id } of window.sdk.models.list()) ids.push(id)
    return { ids, one: await window.sdk.models.retrieve('stories') }
  })
  expect(found.ids).toEqual(['stories@1'])
  expect(found.one).toMatchObject({ id: 'stories@1', object: 'model' })
})

test('an answer to a schema is valid, whole and as a stream; an object is JSON', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async () => {
    const schema = {
      type: 'object',
      properties: {
        name: { type: 'string', maxLength: 8 },
        age: { type: 'integer', minimum: 0, maximum: 99 },
      },
      required: ['name', 'age'],
    }
    const request = {
      model: 'stories',
      messages: [{ role: 'user' as const, content: 'Who is it?' }],
      seed: 5,
      max_completion_tokens: 60,
    }
    const named = { type: 'json_schema' as const, json_schema: { name: 'person', schema, strict: true } }
    const whole = await window.sdk.chat.completions.create({ ...request, response_format: named })
    const stream = await window.sdk.chat.completions.create({
      ...request,
      response_format: named,
      stream: true,
    })
    let streamed = ''
    for await (const { choices } of stream) streamed += choices[0]?.delta.content ?? ''
    return { whole: whole.choices[0]?.message.content ?? '', streamed }
  })
  expect(JSON.parse(found.whole)).toEqual({ name: expect.any(String), age: expect.any(Number) })
  expect(found.streamed).toBe(found.whole)
})

const REFUSED = [
  ['an unknown model', { model: 'gpt-7' }, 'NotFoundError', 404, 'model_not_found', null],
  [
    'a format without its schema',
    { response_format: { type: 'json_schema' } },
    'BadRequestError',
    400,
    'bad_request',
    'response_format',
  ],
  [
    'a tool that is no function',
    { tools: [{ type: 'custom' }] },
    'BadRequestError',
    400,
    'unsupported_parameter',
    'tools[0].type',
  ],
  ['an unknown field', { temprature: 1 }, 'BadRequestError', 400, 'unsupported_parameter', 'temprature'],
  ['a value out of range', { top_p: 3 }, 'BadRequestError', 400, 'bad_request', 'top_p'],
  [
    'a picture',
    { messages: [{ role: 'user', content: [{ type: 'image_url' }] }] },
    'BadRequestError',
    400,
    'unsupported_parameter',
    'messages[0].content[0].type',
  ],
  [
    'a long prompt',
    { messages: [{ role: 'user', content: 'word '.repeat(900) }] },
    'BadRequestError',
    400,
    'context_length_exceeded',
    null,
  ],
] as const

test("what cannot be served is refused with the SDK's error classes, streamed or not", async ({
  doorsPage,
}) => {
  for (const [what, change, name, status, code, param] of REFUSED) {
    const found = await doorsPage.evaluate(
      async ({ messages, change }) => {
        const refusal = async (stream: boolean) => {
          const request = { model: 'stories', messages: [...messages], max_tokens: 4, ...change, stream }
          const error: unknown = await window.sdk.chat.completions
            .create(request as never)
            .catch((error: unknown) => error)
          const { status, code, param, message } = error as InstanceType<typeof OpenAI.APIError>
          const names = ['NotFoundError', 'BadRequestError'] as const
          const name = names.find((name) => error instanceof window.doors.OpenAI[name])
          return { name, status, code, param, message }
        }
        return [await refusal(false), await refusal(true)]
      },
      { messages: ASK, change: JSON.parse(JSON.stringify(change)) as object },
    )
    for (const refusal of found) {
      expect(refusal, what).toMatchObject({ name, status, code, param })
      if (param !== null) expect(refusal.message).toContain(param)
    }
  }
})

test('harmless fields are accepted, missing ones and unknown paths are not', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (messages) => {
    const harmless = {
      user: 'me',
      metadata: { a: 'b' },
      store: false,
      tools: [],
      response_format: { type: 'text' as const },
    }
    const { choices } = await window.sdk.chat.completions.create({
      model: 'stories',
      messages: [...messages],
      max_tokens: 2,
      ...harmless,
    })
    const statusOf = async (path: string, init?: RequestInit) => {
      const response = await window.client.fetch(`https://tabserve.local${path}`, init)
      return [response.status, ((await response.json()) as { error: { code: string } }).error.code]
    }
    return {
      choices: choices.length,
      embeddings: await statusOf('/v1/embeddings', { method: 'POST', body: '{"input":"a"}' }),
      nowhere: await statusOf('/v1/nowhere'),
      outside: await statusOf('/elsewhere'),
      wrongMethod: await statusOf('/v1/chat/completions'),
      notJson: await statusOf('/v1/completions', { method: 'POST', body: '{' }),
    }
  }, ASK)
  expect(found).toEqual({
    choices: 1,
    embeddings: [400, 'bad_request'],
    nowhere: [404, 'bad_request'],
    outside: [404, null],
    wrongMethod: [405, 'bad_request'],
    notJson: [400, 'bad_request'],
  })
})

test('abort and timeout are the errors of the SDK, and stop the computing', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (messages) => {
    const { OpenAI } = window.doors
    const request = { model: 'stories', messages: [...messages], max_tokens: 400, ignore_eos: true } as {
      model: string
      messages: (typeof messages)[number][]
    }
    const caught = (call: PromiseLike<unknown>) =>
      Promise.resolve(call).then(
        () => undefined,
        (error: unknown) => error,
      )
    const abort = new AbortController()
    const pending = caught(window.sdk.chat.completions.create(request, { signal: abort.signal }))
    setTimeout(() => abort.abort(), 20)
    const aborted = (await pending) instanceof OpenAI.APIUserAbortError
    const late = await caught(window.sdk.chat.completions.create(request, { timeout: 10 }))
    const stream = await window.sdk.chat.completions.create({ ...request, stream: true })
    let seen = 0
    for await (const _ of stream) if (++seen === 5) break
    const other = await window.sdk.chat.completions.create({ ...request, stream: true })
    for await (const _ of other) if (++seen === 10) other.controller.abort()
    const own = (await caught(window.client.chat.completions.create(request, { signal: abort.signal }))) as {
      code: string
    }
    for (let wait = 0; wait < 50 && (await window.client.stats('stories')).running > 0; wait++)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const { finished, running, generatedTokens } = await window.client.stats('stories')
    return {
      aborted,
      late: late instanceof OpenAI.APIConnectionTimeoutError,
      own: own.code,
      finished,
      running,
      generatedTokens,
    }
  }, ASK)
  expect(found).toMatchObject({
    aborted: true,
    late: true,
    own: 'aborted',
    running: 0,
    finished: { length: 0 },
  })
  expect(found.finished.abort).toBeGreaterThanOrEqual(4)
  expect(found.generatedTokens).toBeLessThan(1200) // five requests of 400
})

test('a full queue is a RateLimitError that says when to come again, and the SDK does', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async (url) => {
    const client = await window.doors.createClient()
    await client.load(url, { maxRunning: 1, maxWaiting: 1 })
    const options = { apiKey: 'none', fetch: client.fetch, dangerouslyAllowBrowser: true }
    const sdk = new window.doors.OpenAI({ ...options, maxRetries: 0 })
    const patient = new window.doors.OpenAI({ ...options, maxRetries: 5 })
    const request = { model: 'stories', prompt: 'Once', max_tokens: 300, ignore_eos: true }
    const abort = new AbortController()
    const busy = Array.from({ length: 2 }, () =>
      sdk.completions.create(request, { signal: abort.signal }).catch(() => undefined),
    )
    await new Promise((resolve) => setTimeout(resolve, 30))
    const refused = (await sdk.completions.create(request).catch((error: unknown) => error)) as InstanceType<
      typeof OpenAI.APIError
    >
    const served = patient.completions.create({ ...request, max_tokens: 3 })
    abort.abort()
    await Promise.all(busy)
    return {
      is: refused instanceof window.doors.OpenAI.RateLimitError,
      after: Number(refused.headers?.get('retry-after')),
      served: (await served).usage?.completion_tokens,
    }
  }, '/models/stories/v1/')
  expect(found).toMatchObject({ is: true, served: 3 })
  expect(found.after).toBeGreaterThanOrEqual(1)
})

// Held by the compiler: what we answer is what the SDK says that OpenAI answers.
type Fits<Ours extends Theirs, Theirs> = Ours
export type Answers = [
  Fits<ChatCompletion, OpenAI.ChatCompletion>,
  Fits<ChatCompletionChunk, OpenAI.ChatCompletionChunk>,
  Fits<Completion, OpenAI.Completion>,
  Fits<ResponseObject, OpenAI.Responses.Response>,
  Fits<ResponseStreamEvent, OpenAI.Responses.ResponseStreamEvent>,
]

test('a request with a session brings what is new in it, and a session that is not open is 404', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async () => {
    const session = await window.client.session({ model: 'stories', temperature: 0, maxTokens: 20 })
    const ask = (content: string, id = session.id) =>
      window.sdk.chat.completions.create({
        model: 'stories',
        messages: [{ role: 'user', content }],
        ...{ session: id },
      })
    const first = await ask('a story about a cat')
    const second = await ask('and a dog')
    const same = await window.client.chat.completions.create({
      model: 'stories',
      messages: session.messages.slice(0, 3) as { role: 'user'; content: string }[],
      temperature: 0,
      max_tokens: 20,
    })
    const status = await ask('hello', 'another').catch((error: { status: number }) => error.status)
    return {
      said: session.messages.map(({ content }) => content),
      answers: [first, second].map(({ choices }) => choices[0]?.message.content),
      same: same.choices[0]?.message.content,
      cached: second.usage?.prompt_tokens_details?.cached_tokens,
      status,
    }
  })
  expect(found.said).toEqual(['a story about a cat', found.answers[0], 'and a dog', found.answers[1]])
  expect(found.same).toBe(found.answers[1])
  expect(found.cached).toBeGreaterThan(20)
  expect(found.status).toBe(404)
})

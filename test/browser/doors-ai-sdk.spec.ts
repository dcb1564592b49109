import { expect, test } from './fixtures.ts'

const PROMPT = 'a story about a bird'

for (const door of [
  'our provider',
  'the OpenAI provider over client.fetch',
  "its responses' form",
] as const) {
  test(`generateText and streamText run on ${door} and give what the model gives`, async ({ doorsPage }) => {
    const found = await doorsPage.evaluate(
      async ({ door, prompt }) => {
        const openai = window.doors.createOpenAI({ apiKey: 'none', fetch: window.client.fetch })
        const models = {
          'our provider': () => window.doors.createTabserve(window.client)('stories'),
          'the OpenAI provider over client.fetch': () => openai.chat('stories'),
          "its responses' form": () => openai.responses('stories'),
        }
        const request = { model: models[door](), prompt, maxOutputTokens: 20, temperature: 0, maxRetries: 0 }
        const { text, finishReason, usage } = await window.doors.generateText(request)
        const stream = window.doors.streamText(request)
        let streamed = ''
        for await (const piece of stream.textStream) streamed += piece
        const messages = [{ role: 'user' as const, content: prompt }]
        const native = await window.client.generate({
          model: 'stories',
          messages,
          maxTokens: 20,
          temperature: 0,
        })
        return { text, finishReason, usage, streamed, native: native.text, end: await stream.finishReason }
      },
      { door, prompt: PROMPT },
    )
    expect(found.native.length).toBeGreaterThan(20)
    expect(found.text).toBe(found.native)
    expect(found.streamed).toBe(found.native)
    expect(found).toMatchObject({ finishReason: 'length', end: 'length', usage: { outputTokens: 20 } })
  })
}

test('generateObject gives what its schema says', async ({ doorsPage }) => {
  const found = await doorsPage.evaluate(async (prompt) => {
    const { createTabserve, generateObject, jsonSchema } = window.doors
    const schema = jsonSchema({
      type: 'object',
      properties: { animal: { enum: ['cat', 'dog'] }, legs: { type: 'integer', minimum: 0, maximum: 8 } },
      required: ['animal', 'legs'],
      additionalProperties: false,
    })
    const { object } = await generateObject({
      model: createTabserve(window.client)('stories'),
      prompt,
      schema,
      seed: 3,
    })
    return object
  }, PROMPT)
  expect(found).toEqual({ animal: expect.stringMatching(/^(cat|dog)$/), legs: expect.any(Number) })
})

test('an abort ends streamText and the computing; what the model does not do is refused', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async (prompt) => {
    const { createTabserve, streamText, generateText, embed } = window.doors
    const tabserve = createTabserve(window.client)
    const abort = new AbortController()
    const stream = streamText({
      model: tabserve('stories'),
      prompt,
      abortSignal: abort.signal,
      providerOptions: { tabserve: { ignoreEos: true, minP: 0.1 } },
    })
    let aborted = false
    for await (const part of stream.fullStream) {
      if (part.type === 'text-delta') abort.abort()
      if (part.type === 'abort') aborted = true
    }
    for (let wait = 0; wait < 50 && (await window.client.stats('stories')).running > 0; wait++)
      await new Promise((resolve) => setTimeout(resolve, 20))
    const { finished, running } = await window.client.stats('stories')
    const codeOf = async (call: () => PromiseLike<unknown>) => {
      try {
        await call()
      } catch (error) {
        return (error as { code?: string }).code
      }
      return 'answered'
    }
    return {
      aborted,
      finished,
      running,
      embedding: await codeOf(async () => embed({ model: tabserve.embeddingModel('stories'), value: 'a' })),
      unknown: await codeOf(() => generateText({ model: tabserve('other'), prompt, maxRetries: 0 })),
      badOption: await codeOf(() =>
        generateText({
          model: tabserve('stories'),
          prompt,
          maxRetries: 0,
          providerOptions: { tabserve: { minPee: 1 } },
        }),
      ),
    }
  }, PROMPT)
  expect(found).toMatchObject({
    aborted: true,
    running: 0,
    finished: { abort: 1 },
    embedding: 'bad_request',
    unknown: 'model_not_loaded',
    badOption: 'bad_request',
  })
})

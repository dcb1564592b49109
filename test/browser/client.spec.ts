import { MODEL, NO_SHARED, expect, hasShared, load, test } from './fixtures.ts'

const PROMPT = 'Once upon a time'

test.beforeEach(async ({ page }) => {
  await load(page, MODEL.stories1)
})

test('a generation can be awaited, iterated, or both', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const request = { model: 'stories@1', prompt, maxTokens: 40, temperature: 0 }
    const stream = window.client.generate(request)
    const pieces: string[] = []
    for await (const delta of stream) pieces.push(delta.text)
    return { pieces, streamed: await stream, awaited: await window.client.generate(request) }
  }, PROMPT)
  expect(found.pieces.length).toBeGreaterThan(10)
  expect(found.pieces.join('')).toBe(found.streamed.text)
  expect(found.awaited.text).toBe(found.streamed.text)
  expect(found.awaited.tokens).toEqual(found.streamed.tokens)
  expect(found.awaited.finishReason).toBe('length')
  expect(found.awaited.usage.completionTokens).toBe(40)
  expect(found.awaited.timing.firstTokenMs).toBeGreaterThan(0)
})

test('the same seed gives the same text, another seed another', async ({ page }) => {
  const texts = await page.evaluate(async (prompt) => {
    const ask = async (seed: number) =>
      (
        await window.client.generate({
          model: 'stories@1',
          prompt,
          maxTokens: 30,
          temperature: 1,
          seed,
        })
      ).text
    return [await ask(7), await ask(7), await ask(8)]
  }, PROMPT)
  expect(texts[0]).toBe(texts[1])
  expect(texts[0]).not.toBe(texts[2])
})

test('a stop string ends the text and is in no delta', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const request = { model: 'stories@1', prompt, temperature: 0, maxTokens: 40 }
    const { text: whole } = await window.client.generate(request)
    const stop = whole.slice(20, 30)
    const stream = window.client.generate({ ...request, stop: [stop] })
    const pieces: string[] = []
    for await (const delta of stream) pieces.push(delta.text)
    return { whole, stop, pieces, result: await stream }
  }, PROMPT)
  const text = found.whole.slice(0, found.whole.indexOf(found.stop))
  expect(found.pieces.join('')).toBe(text)
  expect(found.result).toMatchObject({ text, finishReason: 'stop', stop: found.stop })
})

test('log-probabilities come one a token, likeliest first', async ({ page }) => {
  const { logprobs, tokens } = await page.evaluate(
    async (prompt) =>
      window.client.generate({
        model: 'stories@1',
        prompt,
        temperature: 0,
        maxTokens: 5,
        logprobs: 3,
      }),
    PROMPT,
  )
  expect(logprobs?.map(({ token }) => token)).toEqual(tokens)
  for (const { token, logprob, top } of logprobs ?? []) {
    expect(top[0]).toEqual({ token, logprob }) // greedy takes the likeliest
    expect(top).toHaveLength(3)
    expect(top.reduce((sum, { logprob }) => sum + Math.exp(logprob), 0)).toBeLessThanOrEqual(1)
  }
})

test('aborting and leaving the loop stop the computing before the next step', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const request = { model: 'stories@1', prompt, temperature: 0, ignoreEos: true }
    const abort = new AbortController()
    const aborted = window.client.generate({ ...request, signal: abort.signal })
    let seen = 0
    for await (const delta of aborted) if ((seen += delta.tokens.length) >= 5) abort.abort()
    const left = window.client.generate(request)
    for await (const _ of left) break
    const before = new AbortController()
    before.abort()
    return {
      seen,
      aborted: await aborted,
      left: await left,
      never: await window.client.generate({ ...request, signal: before.signal }),
    }
  }, PROMPT)
  expect(found.aborted.finishReason).toBe('abort')
  // What was computed until the signal was heard still comes; that is a matter of the page's thread, not of the 500 tokens of the context.
  expect(found.aborted.usage.completionTokens).toBeLessThan(400)
  expect(found.seen).toBe(found.aborted.tokens.length)
  expect(found.left.finishReason).toBe('abort')
  expect(found.left.usage.completionTokens).toBeLessThan(400)
  expect(found.never).toMatchObject({ finishReason: 'abort', text: '', usage: { completionTokens: 0 } })
})

test('requests wait for their turn and each gets its own answer', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const ask = (maxTokens: number) =>
      window.client.generate({ model: 'stories@1', prompt, temperature: 0, maxTokens })
    return Promise.all([ask(10), ask(20), ask(5)])
  }, PROMPT)
  expect(found.map(({ tokens }) => tokens.length)).toEqual([10, 20, 5])
  expect(found[1]?.text.startsWith(found[0]?.text ?? '?')).toBe(true)
})

const BAD_REQUESTS = [
  ['an empty prompt', { prompt: '' }, 'bad_request', 'empty'],
  ['no prompt at all', {}, 'bad_request', 'exactly one'],
  ['an unknown option', { prompt: 'a', max_tokens: 3 }, 'bad_request', 'maxTokens'],
  ['a value out of range', { prompt: 'a', topP: 3 }, 'bad_request', 'topP'],
  ['a message without a role', { messages: [{ content: 'hi' }] }, 'bad_request', 'role'],
  ['a prompt longer than the context', { prompt: 'word '.repeat(600) }, 'context_overflow', '512'],
  ['a model that is not loaded', { prompt: 'a', model: 'other' }, 'model_not_loaded', 'other'],
  ['something that cannot be cloned', { prompt: 'a', logitBias: () => 1 }, 'bad_request', ''],
] as const

for (const [what, request, code, words] of BAD_REQUESTS) {
  test(`${what} is refused with one ${code} error, and the next request works`, async ({ page }) => {
    const clonable = JSON.parse(JSON.stringify(request)) as object
    const found = await page.evaluate(
      async ({ request, cannotBeCloned }) => {
        const model = 'stories@1'
        const bad = { model, ...request, ...(cannotBeCloned ? { logitBias: () => 1 } : {}) } as {
          model: string
        }
        const failure = await window.client.generate(bad).then(
          () => undefined,
          (error: { name: string; code: string; message: string }) => ({
            name: error.name,
            code: error.code,
            message: error.message,
          }),
        )
        return { failure, next: await window.client.generate({ model, prompt: 'Once', maxTokens: 3 }) }
      },
      { request: clonable, cannotBeCloned: what.includes('cloned') },
    )
    expect(found.failure).toMatchObject({ name: 'EngineError', code })
    expect(found.failure?.message).toContain(words)
    expect(found.next.tokens.length).toBeGreaterThan(0)
  })
}

test('a worker script that is not there is engine_lost at once', async ({ page }) => {
  const code = await page.evaluate(() =>
    window.tabserve.createClient({ worker: () => new Worker('nowhere.js', { type: 'module' }) }).then(
      () => 'started',
      (error: { code: string }) => error.code,
    ),
  )
  expect(code).toBe('engine_lost')
})

test('a worker file that never calls startWorker is one engine_lost that says so, and the worker is ended', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const url = URL.createObjectURL(new Blob(['setInterval(() => {}, 100)'], { type: 'text/javascript' }))
    let numEnded = 0
    const make = () => {
      const worker = new Worker(url, { type: 'module' })
      const { terminate } = worker
      worker.terminate = () => {
        numEnded++
        terminate.call(worker)
      }
      return worker
    }
    const error = await window.tabserve.createClient({ worker: make, startTimeoutMs: 300 }).then(
      () => undefined,
      ({ code, message }: { code: string; message: string }) => ({ code, message }),
    )
    return { error, numEnded }
  })
  expect(found.error?.code).toBe('engine_lost')
  expect(found.error?.message).toMatch(/startWorker\(\).*startTimeoutMs/)
  expect(found.numEnded).toBeGreaterThan(0)
})

test('a worker that dies while it is being set up is one engine_lost', async ({ page }) => {
  const code = await page.evaluate(async () => {
    const target = new URL('/tabserve.worker.js', location.href).href
    const dying = `import ${JSON.stringify(target)}
      addEventListener('message', ({ data }) => data.path?.includes('configure') && close())`
    const url = URL.createObjectURL(new Blob([dying], { type: 'text/javascript' }))
    const worker = () => new Worker(url, { type: 'module' })
    return window.tabserve.createClient({ worker, hangTimeoutMs: 500 }).then(
      () => undefined,
      ({ code }: { code: string }) => code,
    )
  })
  expect(code).toBe('engine_lost')
})

test('a worker whose script comes late, but in time, is waited for', async ({ page }) => {
  await page.context().route('**/tabserve.worker.js', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 1500))
    await route.continue()
  })
  const isLive = await page.evaluate(async () => {
    window.client = await window.tabserve.createClient({ startTimeoutMs: 20_000, hangTimeoutMs: 500 })
    return (await window.client.health()).live
  })
  expect(isLive).toBe(true)
})

test('after dispose every call is engine_lost', async ({ page }) => {
  const codes = await page.evaluate(async () => {
    const { client } = window
    const running = client.generate({ model: 'stories@1', prompt: 'Once', ignoreEos: true })
    client.dispose()
    const codeOf = (work: PromiseLike<unknown>) =>
      work.then(
        () => 'answered',
        (error: { code: string }) => error.code,
      )
    const later = client.generate({ model: 'stories@1', prompt: 'Once' })
    return Promise.all([
      codeOf(running),
      codeOf(client.list()),
      codeOf(later),
      codeOf(client.load('/models/stories/v1/')),
    ])
  })
  expect(codes).toEqual(['engine_lost', 'engine_lost', 'engine_lost', 'engine_lost'])
})

test('messages are rendered with the chat template; a model without one refuses them', async ({ page }) => {
  test.skip(!hasShared, NO_SHARED)
  const found = await page.evaluate(async (url) => {
    const messages = [{ role: 'user' as const, content: 'Tell me a story about a dog.' }]
    const request = { temperature: 0, maxTokens: 10 }
    const rendered = 'Ask: Tell me a story about a dog.\nStory:\n'
    const other = await window.client.load(url)
    const refusal = await window.client.generate({ model: other.id, messages }).then(
      () => undefined,
      ({ code, message }) => ({ code, message }),
    )
    return {
      chat: await window.client.generate({ ...request, model: 'stories@1', messages }),
      plain: await window.client.generate({ ...request, model: 'stories@1', prompt: rendered }),
      refusal,
    }
  }, MODEL.fp32)
  expect(found.chat.tokens).toEqual(found.plain.tokens)
  expect(found.refusal).toMatchObject({
    code: 'bad_request',
    message: expect.stringContaining('chat template'),
  })
})

test('an isolated page has threads when asked, any other has one and says so', async ({
  context,
  site,
  plainSite,
}) => {
  const reports = []
  for (const { url } of [site, plainSite]) {
    const page = await context.newPage()
    await page.goto(new URL('/script-tag/blank.html', url).href)
    reports.push(
      await page.evaluate(async (model) => {
        const client = await window.tabserve.createClient({ threads: 2 })
        const info = await client.load(model)
        const { text } = await client.generate({
          model: info.id,
          prompt: 'Once upon a time',
          temperature: 0,
          maxTokens: 12,
        })
        return {
          isolated: client.device.crossOriginIsolated,
          threads: info.threads,
          runner: info.runner,
          text,
        }
      }, MODEL.stories1),
    )
  }
  expect(reports[0]).toMatchObject({ isolated: true, threads: 2, runner: 'kernels' })
  expect(reports[1]).toMatchObject({ isolated: false, threads: 1, runner: 'kernels', text: reports[0]?.text })
})

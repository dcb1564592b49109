import type { Page } from 'playwright/test'
import { MODEL, expect, test } from './fixtures.ts'

const REQUEST = { model: 'stories', prompt: 'Once upon a time', temperature: 0, max_tokens: 20 }

test('any page of the origin gets answers by plain fetch, whole and streamed', async ({
  page,
  context,
  site,
}) => {
  await serve(page, MODEL.stories1)
  const own = await complete(page, REQUEST)
  const other = await openPage(context, site.url)
  const elsewhere = await complete(other, REQUEST)
  const streamed = await complete(other, { ...REQUEST, stream: true })
  const models = await other.evaluate(async () => (await fetch('/v1/models')).json() as Promise<unknown>)
  expect(own.status).toBe(200)
  expect(own.text.length).toBeGreaterThan(20)
  expect(elsewhere).toEqual(own)
  expect(streamed).toEqual(own)
  expect(models).toMatchObject({ data: [{ id: 'stories@1' }] })
})

test('errors, KServe, metrics and files pass as they should', async ({ page }) => {
  await serve(page, MODEL.stories1)
  const found = await page.evaluate(async () => {
    const unknown = await fetch('/v1/completions', { method: 'POST', body: '{"model":"other","prompt":"a"}' })
    const ready = await fetch('/v2/models/stories/ready')
    const metrics = await fetch('/metrics')
    const file = await fetch('/index.html')
    return {
      unknown: [unknown.status, ((await unknown.json()) as { error: { code: string } }).error.code],
      ready: ready.status,
      metrics: (await metrics.text())
        .split('\n')
        .find((line) => line.startsWith('tabserve:num_requests_running')),
      file: [file.status, file.headers.get('content-type')],
    }
  })
  expect(found).toEqual({
    unknown: [404, 'model_not_found'],
    ready: 200,
    metrics: 'tabserve:num_requests_running{model_name="stories",model_version="1"} 0',
    file: [200, 'text/html; charset=utf-8'],
  })
})

test('where no page holds an engine the answer is 503 and says what to do', async ({
  page,
  context,
  site,
}) => {
  await serve(page, MODEL.stories1)
  const other = await openPage(context, site.url)
  await page.close()
  const found = await other.evaluate(async () => {
    const openai = await fetch('/v1/models')
    const kserve = await fetch('/v2/health/ready')
    return {
      openai: [openai.status, openai.headers.get('retry-after'), await openai.text()],
      kserve: [kserve.status, await kserve.text()],
    }
  })
  expect(found.openai.slice(0, 2)).toEqual([503, '1'])
  expect(JSON.parse(String(found.openai[2]))).toMatchObject({ error: { code: 'no_engine' } })
  expect(found.openai[2]).toContain('serveOrigin')
  expect(JSON.parse(String(found.kserve[1]))).toEqual({ error: expect.stringContaining('serveOrigin') })
})

test('without a service worker, or with one that is not there, serving the origin fails and says why', async ({
  page,
}) => {
  const found = await page.evaluate(async () => {
    const client = await window.tabserve.createClient()
    const errorOf = (call: Promise<unknown>) =>
      call.then(
        () => 'served',
        ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
      )
    return [
      await errorOf(client.serveOrigin()),
      await errorOf(client.serveOrigin({ serviceWorker: '/nowhere.js' })),
    ]
  })
  expect(found[0]).toMatch(/^bad_request: .*serviceWorker/)
  expect(found[1]).toMatch(/^backend_failed: .*nowhere\.js/)
})

test('the page that has the model is asked before one that has another', async ({ page, context, site }) => {
  await serve(page, MODEL.stories1)
  const other = await openPage(context, site.url)
  await serve(other, MODEL.stories2)
  const asker = await openPage(context, site.url)
  for (let round = 0; round < 3; round++)
    for (const model of ['stories@1', 'stories@2']) {
      expect((await complete(asker, { ...REQUEST, model })).status, model).toBe(200)
    }
})

test('an abort stops the computing in the other page, and a page that goes fails the answer', async ({
  page,
  context,
  site,
}) => {
  await serve(page, MODEL.stories1)
  const other = await openPage(context, site.url)
  const request = { ...REQUEST, max_tokens: 480, ignore_eos: true, stream: true }
  const aborted = await other.evaluate(async (request) => {
    const abort = new AbortController()
    const response = await fetch('/v1/completions', {
      method: 'POST',
      body: JSON.stringify(request),
      signal: abort.signal,
    })
    const reader = response.body!.getReader()
    await reader.read()
    abort.abort()
    return reader.read().then(
      () => 'read on',
      (error: Error) => error.name,
    )
  }, request)
  expect(aborted).toBe('AbortError')
  await expect
    .poll(() => page.evaluate(async () => (await window.client.stats('stories')).finished.abort))
    .toBe(1)
  const failure = other.evaluate(async (request) => {
    // Enough of them that the page is gone before the last has ended.
    const answers = Array.from({ length: 40 }, async () => {
      const response = await fetch('/v1/completions', { method: 'POST', body: JSON.stringify(request) })
      await response.text()
    })
    return Promise.all(answers).then(
      () => 'answered',
      (error: Error) => error.name,
    )
  }, request)
  await expect
    .poll(() => page.evaluate(async () => (await window.client.stats('stories')).running))
    .toBeGreaterThan(0)
  await page.close()
  expect(await failure).toBe('TypeError')
})

async function serve(page: Page, url: string): Promise<void> {
  await page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient()
    await window.client.load(url)
    await window.client.serveOrigin({ serviceWorker: '/tabserve.service-worker.js' })
  }, url)
}

async function openPage(context: { newPage(): Promise<Page> }, site: string): Promise<Page> {
  const page = await context.newPage()
  await page.goto(new URL('/script-tag/blank.html', site).href)
  return page
}

/** Status and text of a completion, put together again where it was streamed. */
function complete(page: Page, request: object): Promise<{ status: number; text: string }> {
  return page.evaluate(async (request) => {
    const response = await fetch('/v1/completions', { method: 'POST', body: JSON.stringify(request) })
    const body = await response.text()
    const events = body.startsWith('data: ')
      ? body.split('\n\n').filter((event) => event !== '')
      : [`data: ${body}`]
    const texts = events
      .map((event) => event.replace('data: ', ''))
      .filter((data) => data !== '[DONE]')
      .map((data) => (JSON.parse(data) as { choices?: { text: string }[] }).choices?.[0]?.text ?? '')
    return { status: response.status, text: texts.join('') }
  }, request)
}

import type { GrantedClient } from 'tabserve'
import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

declare global {
  interface Window {
    granted: GrantedClient
    connected: Promise<void>
    revoke(): void
  }
}

test('an iframe from elsewhere asks what it was granted and nothing else, until the grant is revoked', async ({
  context,
  site,
  plainSite,
}) => {
  const page = await context.newPage()
  await page.goto(new URL('/script-tag/blank.html', plainSite.url).href)
  await page.evaluate(
    async ({ src, models }) => {
      window.client = await window.tabserve.createClient()
      for (const model of models) await window.client.load(model)
      const frame = document.createElement('iframe')
      const loaded = new Promise((resolve) => frame.addEventListener('load', resolve))
      frame.src = src
      document.body.append(frame)
      await loaded
    },
    { src: new URL('/script-tag/blank.html', site.url).href, models: [MODEL.stories1, MODEL.stories2] },
  )
  const frame = page.frames()[1]!
  await frame.evaluate(() => {
    window.connected = new Promise((resolve) =>
      addEventListener('message', ({ ports: [port] }) => {
        if (port === undefined) return
        window.granted = window.tabserve.connect(port)
        resolve()
      }),
    )
  })
  await page.evaluate(() => {
    const grant = window.client.grant({ models: ['stories@1'] })
    window.revoke = () => grant.revoke()
    const { contentWindow } = document.querySelector('iframe')!
    contentWindow?.postMessage('granted', '*', [grant.port])
  })
  await frame.evaluate(() => window.connected)

  const request = { prompt: 'Once upon a time', temperature: 0, ignoreEos: true, maxTokens: 40 }
  const own = await page.evaluate(
    async (request) => window.client.generate({ model: 'stories@1', ...request }),
    request,
  )
  const found = await frame.evaluate(async (request) => {
    const { granted } = window
    const codeOf = (work: PromiseLike<unknown>) =>
      work.then(
        () => 'answered',
        ({ code }: { code: string }) => code,
      )
    const stream = granted.generate({ model: 'stories@1', ...request, priority: -5, preempt: true })
    let streamed = ''
    for await (const { text } of stream) streamed += text
    return {
      streamed,
      usage: (await stream).usage,
      again: (await granted.generate({ model: 'stories@1', ...request })).usage,
      list: (await granted.list()).map(({ id }) => id),
      other: await codeOf(granted.generate({ model: 'stories@2', ...request })),
      unknown: await codeOf(granted.generate({ model: 'nothing', ...request })),
      can: Object.getOwnPropertyNames(Object.getPrototypeOf(granted))
        .filter((name) => name !== 'constructor')
        .toSorted(),
    }
  }, request)
  expect(found).toMatchObject({
    streamed: own.text,
    list: ['stories@1'],
    other: 'not_allowed',
    unknown: 'not_allowed',
    can: ['close', 'generate', 'list'],
  })
  expect(found.usage.cachedTokens).toBe(0) // not even that the page has asked the same is to be seen
  expect(found.again.cachedTokens).toBeGreaterThan(0) // its own it shares with itself

  await page.evaluate(() => addEventListener('message', () => window.revoke()))
  const revoked = await frame.evaluate(async (request) => {
    const running = window.granted.generate({ model: 'stories@1', ...request, maxTokens: 480 })
    const codeOf = (work: PromiseLike<unknown>) =>
      work.then(
        () => 'answered',
        ({ code }: { code: string }) => code,
      )
    const ended = codeOf(running)
    try {
      for await (const _ of running) parent.postMessage('take it back', '*')
    } catch {
      // `ended` tells
    }
    return { code: await ended, later: await codeOf(window.granted.list()) }
  }, request)
  expect(revoked).toEqual({ code: 'not_allowed', later: 'not_allowed' })
  const stats = () => page.evaluate(async () => window.client.stats('stories@1'))
  await expect.poll(stats).toMatchObject({ running: 0, finished: { abort: 1 } })
})

test('whatever else is said on a granted port changes nothing', async ({ page }) => {
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient()
    await client.load(url)
    const { port } = client.grant({ models: ['stories'], maxRequests: 1 })
    const heard: unknown[] = []
    port.onmessage = ({ data }) => heard.push(data)
    const commands = [
      null,
      'load',
      { type: 'unload', call: 1, model: 'stories' },
      { type: 'SET', id: '1', path: ['__proto__', 'polluted'], value: { type: 'RAW', value: true } },
      {
        type: 'APPLY',
        id: '2',
        path: ['list', 'constructor'],
        argumentList: [{ type: 'RAW', value: 'alert(1)' }],
      },
      { type: 'submit', request: null },
      { type: 'submit', request: { model: 'stories' }, port: {} },
    ]
    for (const command of commands) port.postMessage(command)
    /** The first thing that is said of a request but who answers. */
    const ask = (request: unknown) =>
      new Promise<unknown>((resolve) => {
        const { port1, port2 } = new MessageChannel()
        port1.onmessage = ({ data }) => data.type !== 'served-by' && resolve(data.error?.code ?? data.type)
        port.postMessage({ type: 'submit', request, port: port2 }, [port2])
      })
    const request = { task: 'generate', model: 'stories', prompt: 'Once', ignoreEos: true }
    const said = []
    for (const wrong of [
      null,
      {},
      { ...request, model: ['stories'] },
      { ...request, task: 'unload' },
      { ...request, session: 'of the page' },
    ])
      said.push(await ask(wrong))
    said.push(...(await Promise.all([ask(request), ask(request)])))
    return { said, heard, models: (await client.list()).length, polluted: 'polluted' in {} }
  }, MODEL.stories1)
  expect(found).toEqual({
    said: ['bad_request', 'not_allowed', 'not_allowed', 'not_allowed', 'not_allowed', 'delta', 'queue_full'],
    heard: [],
    models: 1,
    polluted: false,
  })
})

test('the stream of a granted client goes on when the worker dies', async ({ page }) => {
  await giveMortalWorkers(page)
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ worker: window.mortal.make })
    await client.load(url)
    const granted = window.tabserve.connect(client.grant({ models: ['stories'] }).port)
    const request = { model: 'stories', prompt: 'Once', temperature: 0, ignoreEos: true, maxTokens: 300 }
    const whole = await granted.generate(request)
    let text = ''
    for await (const delta of granted.generate(request)) {
      if (text === '') window.mortal.tell(-1, 'die')
      text += delta.text
    }
    return { text, whole: whole.text, numWorkers: window.mortal.all.length }
  }, MODEL.stories1)
  expect(found.text).toBe(found.whole)
  expect(found.numWorkers).toBe(2)
})

import { join } from 'node:path'
import type { Page } from 'playwright/test'
import { shared } from '../../packages/convert/test/shared.ts'
import { MODEL, NO_SHARED, expect, hasShared, test } from './fixtures.ts'

declare global {
  interface Window {
    /** What `record` and `watchStop` leave on the page. */
    recorded: string[]
    stopMs: number
  }
}

test('a model loads before the eyes of the reader and tells what it cost', async ({ page, site }) => {
  await openChat(page, site.url)
  await page.route('**/*.onnx.data', async (route) => {
    await new Promise((resolve) => setTimeout(resolve, 300)) // long enough for the bar to be painted
    await route.continue()
  })
  await record(page, 'progress-text')
  await load(page)
  const lines = await recorded(page)
  expect(lines.some((line) => / of .+ from the network/.test(line))).toBe(true)
  // The kernels make theirs within a frame: only one of the two may be painted.
  expect(lines.some((line) => /^(Creating the session|Warming up)$/.test(line))).toBe(true)
  await expect(page.getByTestId('load-progress')).toBeHidden()
  const facts = page.getByTestId('facts')
  await expect(facts).toContainText(
    /stories@2.*page isolated.*KV cache.*tokens, kernels runner.*from the network.*warm-up/s,
  )
})

test('answers grow while they are computed, their speed is told, and the page stays responsive', async ({
  page,
  site,
}) => {
  await openChat(page, site.url)
  await load(page)
  await talkAtLength(page)
  const endTrace = await traceTasks(page)
  for (let numTokens = 0; numTokens < 200;) {
    await page.getByTestId('new-conversation').click()
    await record(page, 'answer')
    await ask(page, 'Tell me a story about a cat.')
    await expectFinished(page)
    numTokens += Number.parseInt(await page.getByTestId('num-tokens').innerText())
  }
  const lengths = (await recorded(page)).map((text) => text.length)
  expect(new Set(lengths).size).toBeGreaterThan(3)
  expect(lengths).toEqual(lengths.toSorted((a, b) => a - b))
  await expect(page.getByTestId('speed')).toHaveText(/^\d+(\.\d)? tokens\/s$/)
  await expect(page.getByTestId('first-token')).toHaveText(/^first after [\d.]+ m?s$/)
  await expect(page.getByTestId('status')).toHaveText(/^Answer finished after \d+ tokens\.$/)
  expect(await endTrace()).toBeLessThan(50)
})

test('Stop and Escape end an answer at once, and the next can be asked', async ({ page, site }) => {
  await openChat(page, site.url)
  await load(page)
  await talkAtLength(page, 'truncate-start') // until it is stopped, however late the test comes to it
  const ways = [() => page.getByTestId('stop').click(), () => page.keyboard.press('Escape')]
  for (const stop of ways) {
    await ask(page, 'Tell me a story about a dog.')
    await expect(page.getByTestId('answer')).not.toBeEmpty()
    await watchStop(page)
    await stop()
    await expect(page.getByTestId('ending')).toHaveText('stopped')
    expect(await page.evaluate(() => window.stopMs)).toBeLessThan(500)
    await expect(page.getByTestId('prompt')).toBeFocused()
    await page.getByTestId('new-conversation').click()
  }
  await page.getByLabel('Max tokens').fill('40')
  await ask(page, 'Tell me a story.')
  await expectFinished(page)
})

test('the page follows the text until the reader scrolls up', async ({ page, site }) => {
  await page.setViewportSize({ width: 1000, height: 420 })
  await openChat(page, site.url)
  await load(page)
  await talkAtLength(page)
  await page.getByTestId('mode-continue').check() // each passage has the whole context
  const transcript = page.getByTestId('transcript')
  const place = () =>
    transcript.evaluate((e) => ({ top: e.scrollTop, left: e.scrollHeight - e.scrollTop - e.clientHeight }))
  await ask(page, 'Tell me a story about a cow.')
  await expectFinished(page)
  expect(await place()).toEqual({ top: expect.any(Number), left: expect.closeTo(0, -1) })
  await ask(page, 'Tell me a story about a hen.')
  await expect(page.getByTestId('answer').last()).not.toBeEmpty()
  await transcript.hover()
  await page.mouse.wheel(0, -150)
  await expect.poll(async () => (await place()).left).toBeGreaterThan(100)
  const { top } = await place()
  await expectFinished(page)
  expect((await place()).top).toBe(top)
})

test('weights come from IndexedDB the second time, and from the network after they were cleared', async ({
  page,
  site,
}) => {
  await openChat(page, site.url)
  await load(page)
  await expect(page.getByTestId('facts')).toContainText('from the network')
  await openChat(page, site.url)
  await load(page)
  await expect(page.getByTestId('facts')).toContainText('from IndexedDB')
  await expect(page.getByTestId('facts')).not.toContainText('network')
  await page.getByTestId('clear-cache').click()
  await expect(page.getByTestId('cache-report')).toContainText('deleted')
  await load(page)
  await expect(page.getByTestId('facts')).toContainText('from the network')
})

test('a load can be cancelled, a wrong address is told with its code, and the next load works', async ({
  page,
  site,
}) => {
  await openChat(page, site.url)
  let isAsked = false
  await page.route('**/*.onnx.data', () => void (isAsked = true), { times: 1 }) // never answered
  await page.getByTestId('load').click()
  await expect(page.getByTestId('progress-text')).toContainText('from the network')
  // The tokenizer's bytes are told of earlier: a cancel then would leave the request without an answer to the last load.
  await expect.poll(() => isAsked).toBe(true)
  await page.getByTestId('cancel-load').click()
  await expect(page.getByTestId('status')).toHaveText('Loading was cancelled.')
  await expect(page.getByTestId('load')).toBeFocused()
  await page.getByTestId('model').selectOption('other')
  await page.getByTestId('model-url').fill('../models/nothing-here')
  await page.getByTestId('load').click()
  await expect(page.getByTestId('alert-code')).toHaveText('model_not_found')
  await expect(page.getByTestId('alert-message')).toContainText('nothing-here')
  await page.getByTestId('model').selectOption({ index: 0 })
  await load(page)
  await expect(page.getByTestId('alert')).toBeHidden()
})

test('an engine that dies in the middle of an answer is replaced, and the answer goes on', async ({
  page,
  site,
}) => {
  await openChat(page, site.url)
  await load(page)
  await talkAtLength(page)
  await ask(page, 'Tell me a story about a bird.')
  await expect(page.getByTestId('answer')).not.toBeEmpty()
  await killWorker(page)
  await expectFinished(page)
  await expect(page.getByTestId('alert')).toBeHidden()
  await page.getByTestId('new-conversation').click() // the first answer has filled the context
  await ask(page, 'Tell me a story about a bee.')
  await expectFinished(page)
})

test('an engine that cannot be brought back is told, and one click brings it back later', async ({
  page,
  site,
}) => {
  await openChat(page, site.url)
  await load(page)
  await page.context().route('**/tabserve.worker.js', (route) => route.abort())
  await killWorker(page)
  await ask(page, 'Tell me a story about a bird.')
  await expect(page.getByTestId('alert-code')).toHaveText('engine_lost', { timeout: 20_000 })
  await expect(page.getByTestId('prompt')).toHaveValue('Tell me a story about a bird.')
  await page.context().unroute('**/tabserve.worker.js')
  await page.getByTestId('alert-action').click()
  await expectReady(page)
  await page.getByTestId('prompt').press('Enter')
  await expectFinished(page)
})

test("the reader's own .gguf file is converted, answers, and is there on the next visit without a file", async ({
  page,
  site,
}) => {
  test.skip(!hasShared, NO_SHARED)
  const file = shared('models/gguf/llama-2-tiny-random.gguf')
  await openChat(page, site.url)
  await record(page, 'progress-text')
  await page.getByTestId('own-file').setInputFiles(file)
  await expectReady(page)
  expect((await recorded(page)).some((line) => / of .+ converted$/.test(line))).toBe(true)
  await expect(page.getByTestId('facts')).toContainText('llama-2-tiny-random@1')
  await expect(page.getByTestId('prompt')).toBeFocused()
  await ask(page, 'Once upon a time')
  await expectFinished(page)
  await openChat(page, site.url)
  await page.getByTestId('model').selectOption('Yours: llama-2-tiny-random@1')
  await load(page)
  await expect(page.getByTestId('facts')).toContainText('from IndexedDB')
  await page.getByTestId('clear-cache').click()
  await expect(page.getByTestId('cache-report')).toContainText('deleted')
  await expect(page.getByTestId('model')).not.toContainText('Yours')
})

test('a file or a folder can be dropped, and what is no model is told with its code', async ({
  page,
  site,
}) => {
  test.skip(!hasShared, NO_SHARED)
  await openChat(page, site.url)
  await drop(page, [shared('models/golden')], async () =>
    expect(page.getByTestId('drop')).toHaveClass(/over/),
  )
  await expect(page.getByTestId('alert-code')).toHaveText('bad_model')
  await expect(page.getByTestId('alert-message')).toContainText('.gguf')
  await expect(page.getByTestId('drop')).not.toHaveClass(/over/)
  await drop(page, [shared('models/gguf/llama-2-tiny-random.gguf')])
  await expectReady(page)
  await drop(page, [join(import.meta.dirname, '../../models/stories/v1')]) // a model folder, as it is
  await expect(page.getByTestId('facts')).toContainText('stories@1', { timeout: 20_000 })
  await ask(page, 'Tell me a story about a frog.')
  await expectFinished(page)
})

test('a file is chosen without a pointer', async ({ page, site }) => {
  // Long before the key: until the browser has heard that somebody listens, it opens a window of its own.
  const chooser = page.waitForEvent('filechooser')
  await openChat(page, site.url)
  await page.getByTestId('load').focus()
  await page.keyboard.press('Tab')
  await expect(page.getByTestId('pick-file')).toBeFocused()
  await page.keyboard.press('Enter')
  await (await chooser).setFiles({ name: 'x.gguf', mimeType: '', buffer: Buffer.from('not a model') })
  await expect(page.getByTestId('alert-code')).toHaveText('bad_model')
  await expect(page.getByTestId('load')).toBeFocused()
  await page.keyboard.press('Tab')
  await page.keyboard.press('Tab')
  await expect(page.getByTestId('pick-folder')).toBeFocused()
})

test('another model takes over while one is answering', async ({ page, site }) => {
  await openChat(page, site.url)
  await load(page)
  await talkAtLength(page)
  await page.getByTestId('model').selectOption({ index: 1 })
  await page.getByTestId('prompt').fill('Tell me a story about a fish.')
  // All in the page: an answer lasts at most a context of 512 tokens, a quarter of a second.
  await page.evaluate(() => {
    const press = (id: string) => document.querySelector<HTMLButtonElement>(`[data-testid="${id}"]`)?.click()
    const watch = new MutationObserver(() => {
      if (document.querySelector('[data-testid="answer"]')?.textContent === '') return
      watch.disconnect()
      press('load')
    })
    watch.observe(document.body, { childList: true, subtree: true, characterData: true })
    press('send')
  })
  await expect(page.getByTestId('ending')).toHaveText('stopped')
  await expect(page.getByTestId('facts')).toContainText('stories@1')
  await ask(page, 'Tell me a story about a frog.')
  await expectFinished(page)
})

test('a model without a chat template continues text and offers nothing else', async ({ page, site }) => {
  test.skip(!hasShared, NO_SHARED)
  await openChat(page, site.url)
  await page.getByTestId('model').selectOption('other')
  await page.getByTestId('model-url').fill(`..${MODEL.int8}`)
  await page.getByTestId('load').click()
  await expect(page.getByTestId('facts')).toContainText('stories260K')
  await expect(page.getByTestId('modes')).toBeHidden()
  await ask(page, 'Once upon a time')
  await expectFinished(page)
})

test('everything can be done without a pointer', async ({ page, site }) => {
  await openChat(page, site.url)
  await page.getByTestId('model').focus()
  await page.keyboard.press('Tab')
  await expect(page.getByTestId('load')).toBeFocused()
  await page.keyboard.press('Enter')
  await expectReady(page)
  await expect(page.getByTestId('prompt')).toBeFocused()
  await page.keyboard.type('Tell me')
  await page.keyboard.press('Shift+Enter')
  await page.keyboard.type('a story.')
  await page.keyboard.press('Enter')
  await expectFinished(page)
  await expect(page.getByTestId('question')).toHaveText('Tell me\na story.', { useInnerText: true })
  await expect(page.getByTestId('prompt')).toBeFocused()
  await page.keyboard.press('Shift+Tab')
  await expect(page.getByTestId('mode-chat')).toBeFocused()
  await page.keyboard.press('ArrowRight')
  await expect(page.getByTestId('mode-continue')).toBeChecked()
})

test('nothing is wider than a phone', async ({ page, site }) => {
  await page.setViewportSize({ width: 360, height: 740 })
  for (const path of ['index.html', 'chat/index.html', 'script-tag/index.html']) {
    await page.goto(new URL(path, site.url).href)
    await expectNarrow(page)
  }
  await openChat(page, site.url)
  await page.getByTestId('settings').locator('summary').click()
  await expectNarrow(page)
  await load(page)
  await ask(page, 'x'.repeat(120))
  await expectFinished(page)
  await expectNarrow(page)
})

test('the script-tag page writes a story', async ({ page, site }) => {
  await page.goto(new URL('script-tag/index.html', site.url).href)
  await expect(page.locator('#out')).toHaveText(/^Once upon a time.{40}/s, { timeout: 20_000 })
})

async function openChat(page: Page, site: string): Promise<void> {
  await page.goto(new URL('chat/index.html', site).href)
}

/** Drops files or folders of this machine on the page's middle, as a hand would. */
async function drop(page: Page, files: readonly string[], onTheWay = async () => {}): Promise<void> {
  const cdp = await page.context().newCDPSession(page)
  const send = (type: 'dragEnter' | 'dragOver' | 'drop') =>
    cdp.send('Input.dispatchDragEvent', {
      type,
      x: 500,
      y: 300,
      data: { items: [], files: [...files], dragOperationsMask: 1 },
    })
  await send('dragEnter')
  await send('dragOver')
  await onTheWay()
  await send('drop')
}

async function load(page: Page): Promise<void> {
  await page.getByTestId('load').click()
  await expectReady(page)
}

async function expectReady(page: Page): Promise<void> {
  await expect(page.getByTestId('status')).toHaveText(/is ready\.$/, { timeout: 20_000 })
}

async function ask(page: Page, text: string): Promise<void> {
  await page.getByTestId('prompt').fill(text)
  await page.getByTestId('prompt').press('Enter')
}

async function expectFinished(page: Page): Promise<void> {
  await expect(page.getByTestId('status')).toHaveText(/^Answer finished/, { timeout: 20_000 })
}

/** Has every answer run to the end of the context, or past it: the page offers no such setting, so its requests are given one on their way. */
async function talkAtLength(page: Page, contextOverflow: 'stop' | 'truncate-start' = 'stop'): Promise<void> {
  await page.evaluate((contextOverflow) => {
    interface Call {
      readonly argumentList?: readonly { readonly value?: { task?: string } }[]
    }
    const post = Worker.prototype.postMessage as (this: Worker, call: Call, transfer: Transferable[]) => void
    Worker.prototype.postMessage = function (this: Worker, call: Call, transfer: Transferable[]) {
      for (const { value } of call.argumentList ?? [])
        if (value?.task === 'generate') Object.assign(value, { ignoreEos: true, contextOverflow })
      post.call(this, call, transfer)
    } as typeof Worker.prototype.postMessage
  }, contextOverflow)
  await page.getByTestId('settings').locator('summary').click()
  await page.getByLabel('Max tokens').fill('')
}

/** Measures on the page's clock, from the next click or key to the end of the answer: the test's clock is slow on a busy machine. */
async function watchStop(page: Page): Promise<void> {
  await page.evaluate(() => {
    let from = 0
    for (const type of ['click', 'keydown']) {
      addEventListener(type, ({ timeStamp }) => (from ||= timeStamp), { capture: true, once: true })
    }
    new MutationObserver((_, observer) => {
      if (document.querySelector('[data-testid="ending"]') === null) return
      observer.disconnect()
      window.stopMs = performance.now() - from
    }).observe(document.body, { subtree: true, childList: true })
  })
}

/** Ends the engine from within, as a crash would. */
async function killWorker(page: Page): Promise<void> {
  const [worker] = page.workers()
  await worker?.evaluate(() => self.close())
}

/**
 * Watches the page's main thread; the answer is the CPU time of its longest task in milliseconds. Not the `longtask`
 * entries: those are wall-clock time, and on a busy machine a task waits for a core for longer than it runs.
 */
async function traceTasks(page: Page): Promise<() => Promise<number>> {
  const cdp = await page.context().newCDPSession(page)
  const events: TraceEvent[] = []
  cdp.on('Tracing.dataCollected', ({ value }) => events.push(...(value as unknown as TraceEvent[])))
  await cdp.send('Tracing.start', {
    transferMode: 'ReportEvents',
    traceConfig: { includedCategories: ['toplevel', 'disabled-by-default-devtools.timeline'] },
  })
  return async () => {
    const complete = new Promise<void>((resolve) => cdp.once('Tracing.tracingComplete', () => resolve()))
    await cdp.send('Tracing.end')
    await complete
    const mains = events.filter(({ name, args }) => name === 'thread_name' && args?.name === 'CrRendererMain')
    const tasks = events.filter(
      ({ name, pid, tid }) =>
        name === 'RunTask' && mains.some((main) => main.pid === pid && main.tid === tid),
    )
    expect(tasks.length).toBeGreaterThan(100) // else the trace has not seen the page
    return Math.max(...tasks.map(({ tdur = 0 }) => tdur / 1000))
  }
}

/** As far as it matters here. Durations are in microseconds; `tdur` is CPU time. */
interface TraceEvent {
  readonly name: string
  readonly pid: number
  readonly tid: number
  readonly tdur?: number
  readonly args?: { readonly name?: string }
}

async function expectNarrow(page: Page): Promise<void> {
  expect(await page.evaluate(() => document.documentElement.scrollWidth)).toBeLessThanOrEqual(360)
}

/** Writes down every text that an element shows, also while the test is looking elsewhere. */
async function record(page: Page, testId: string): Promise<void> {
  await page.evaluate((testId) => {
    const texts: string[] = []
    window.recorded = texts
    new MutationObserver(() => {
      const text = document.querySelector(`[data-testid="${testId}"]`)?.textContent ?? ''
      if (text !== '' && text !== texts.at(-1)) texts.push(text)
    }).observe(document.body, { subtree: true, childList: true, characterData: true })
  }, testId)
}

function recorded(page: Page): Promise<string[]> {
  return page.evaluate(() => window.recorded)
}

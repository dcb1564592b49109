import type { Page } from 'playwright/test'
import { MODEL, expect, test } from './fixtures.ts'
import { giveMortalWorkers } from './mortal-workers.ts'

const GREEDY = { temperature: 0, ignoreEos: true }
/** What a session of 400 tokens is saved as, and how it goes on. */
const STORY = 'a story of 400 tokens'

for (const runner of ['kernels', 'heap'] as const) {
  test(`${runner}: a session of 400 tokens goes on after a reload as if nothing had been, with nothing read but its last token and no network`, async ({
    page,
    context,
  }) => {
    await start(page, MODEL.stories1, { runner })
    const undisturbed = await page.evaluate(
      async ({ name, greedy }) => {
        const session = await window.client.session({ model: 'stories', ...greedy })
        await session.append('Once upon a time, there was a little')
        const { tokens } = session.usage
        await session.generate('', { maxTokens: 400 - tokens })
        const saved = await session.save(name)
        const { usage } = session
        const { text } = await session.generate('', { maxTokens: 50 })
        const { usedBytes } = await window.client.models.storage()
        return { saved, usage, text, usedBytes, list: await window.client.sessions.list() }
      },
      { name: STORY, greedy: GREEDY },
    )
    expect(undisturbed.usage).toEqual({ tokens: 400, contextLength: 512 })
    expect(undisturbed.saved).toMatchObject({
      name: STORY,
      model: 'stories@1',
      numTokens: 400,
      hasKv: true,
    })
    expect(undisturbed.list).toEqual([undisturbed.saved])
    expect(undisturbed.usedBytes).toBeGreaterThan(undisturbed.saved.bytes)

    await page.reload()
    await page.evaluate(async () => (window.client = await window.tabserve.createClient()))
    await load(page, MODEL.stories1, { runner, speculation: 'off' })
    await context.setOffline(true)
    const restored = await page.evaluate(async (name) => {
      const session = await window.client.sessions.restore(name)
      const before = await window.client.stats('stories')
      const { text, usage } = await session.generate('', { maxTokens: 50 })
      const after = await window.client.stats('stories')
      return { text, usage, computed: after.computedTokens - before.computedTokens, state: session.usage }
    }, STORY)
    expect(restored.text).toBe(undisturbed.text)
    // Of 50 new tokens the first 49 are read, and the one before them.
    expect(restored.computed).toBe(50)
    expect(restored.usage).toMatchObject({ promptTokens: 400, cachedTokens: 399 })
    expect(restored.state.tokens).toBe(450)
  })
}

test('a saved session is refused by another version, layout or context, when it is damaged, and is read again on wish', async ({
  page,
}) => {
  await start(page, MODEL.stories1)
  const wanted = await page.evaluate(async (greedy) => {
    const session = await window.client.session({ model: 'stories@1', ...greedy })
    await session.generate('Lily had a red ball', { maxTokens: 60 })
    await session.save('ball')
    return (await session.generate('', { maxTokens: 20 })).text
  }, GREEDY)
  const restore = (options: object = {}, name = 'ball') =>
    page.evaluate(
      async ({ options, name }) =>
        window.client.sessions.restore(name, options).then(
          async (session) => ({
            code: 'restored',
            text: (await session.generate('', { maxTokens: 20 })).text,
          }),
          ({ code, message }: { code: string; message: string }) => ({ code, text: message }),
        ),
      { options, name },
    )
  expect(await restore({}, 'nobody')).toMatchObject({ code: 'session_not_found' })
  expect(await restore()).toEqual({ code: 'restored', text: wanted })

  await load(page, MODEL.stories2)
  expect(await restore({ model: 'stories@2' })).toMatchObject({
    code: 'session_mismatch',
    text: expect.stringContaining('was saved with stories@1, not with stories@2'),
  })
  // The other model reads the text anew.
  expect(await restore({ model: 'stories@2', recompute: true })).toMatchObject({ code: 'restored' })

  await load(page, MODEL.stories1, { kvType: 'int8' })
  expect(await restore()).toMatchObject({
    code: 'session_mismatch',
    text: expect.stringContaining('blocks of 16, int8'),
  })
  await load(page, MODEL.stories1, { contextLength: 32 })
  expect(await restore()).toMatchObject({ code: 'context_overflow' })
  await page.evaluate(() => window.client.unload('stories@1'))
  expect(await restore()).toMatchObject({ code: 'model_not_loaded' })

  await load(page, MODEL.stories1)
  await damage(page, 'kv')
  expect(await restore()).toMatchObject({
    code: 'integrity',
    text: expect.stringContaining('recompute: true'),
  })
  const [left] = await page.evaluate(() => window.client.sessions.list())
  expect(left).toMatchObject({ name: 'ball', hasKv: false })
  expect(await restore()).toMatchObject({ code: 'session_not_found' })
  expect(await restore({ recompute: true })).toEqual({ code: 'restored', text: wanted })

  await damage(page, 'state')
  expect(await restore({ recompute: true })).toMatchObject({ code: 'integrity' })
  expect(await page.evaluate(() => window.client.sessions.list())).toEqual([])
  expect(await restore()).toMatchObject({ code: 'session_not_found' })
})

test('a conversation is read early, cloned, drawn alike from its seed, and goes back to where it was saved', async ({
  page,
}) => {
  await start(page, MODEL.stories1)
  const found = await page.evaluate(async () => {
    const { client } = window
    const options = { model: 'stories', seed: 7, temperature: 1, maxTokens: 30, ignoreEos: true }
    const session = await client.session(options)
    await session.append([{ role: 'user', content: 'a story about a dog and a cat' }])
    const early = await client.stats('stories')
    const first = await session.chat()
    const begun = await client.stats('stories')
    const numFirst = begun.computedTokens - early.computedTokens
    const copy = await session.clone()
    await session.save('talk')
    const second = await session.chat('another one')
    const twin = await copy.chat('another one')
    const before = await client.stats('stories')
    const restored = await session.restore('talk')
    const again = await session.chat('another one')
    const measured = await copy.measure([{ role: 'user', content: 'and one more' }])
    const codeOf = (work: Promise<unknown> | PromiseLike<unknown>) =>
      Promise.resolve(work).then(
        () => 'done',
        ({ code }: { code: string }) => code,
      )
    const abort = new AbortController()
    abort.abort()
    const kept = [...copy.messages]
    const aborted = await copy.chat('never', { signal: abort.signal })
    const codes = {
      mixed: await codeOf(copy.append('a text')),
      tooLong: await codeOf(copy.chat('word '.repeat(600))),
      two: await codeOf(client.generate({ model: 'stories', session: copy.id, messages: [], n: 2 })),
      otherModel: await codeOf(client.generate({ model: 'other', session: copy.id, messages: [] })),
      unknown: await codeOf(client.generate({ model: 'stories', session: 'x', prompt: 'a' })),
      option: await codeOf(client.session({ model: 'stories', ...{ max_tokens: 3 } })),
    }
    const unchanged = JSON.stringify(kept) === JSON.stringify(copy.messages)
    copy.destroy()
    return {
      numFirst,
      first: first.text,
      texts: [second.text, twin.text, again.text],
      cached: [second.usage.cachedTokens, second.usage.promptTokens],
      restored: restored.hasKv,
      preemptions: before.preemptions,
      roles: session.messages.map(({ role }) => role),
      said: session.messages[1]?.content,
      measured,
      aborted: aborted.finishReason,
      unchanged,
      codes: { ...codes, destroyed: await codeOf(copy.chat('hello')) },
    }
  })
  // Its prompt was read when it was appended: but the last token of it, and 29 of its own.
  expect(found.numFirst).toBe(30)
  expect(found.said).toBe(found.first)
  expect(found.texts[1]).toBe(found.texts[0])
  expect(found.texts[2]).toBe(found.texts[0])
  expect(found.cached[0]).toBeGreaterThan(20)
  expect(found).toMatchObject({
    restored: true,
    roles: ['user', 'assistant', 'user', 'assistant'],
    aborted: 'abort',
    unchanged: true,
    codes: {
      mixed: 'bad_request',
      tooLong: 'context_overflow',
      two: 'bad_request',
      otherModel: 'bad_request',
      unknown: 'session_not_found',
      option: 'bad_request',
      destroyed: 'session_not_found',
    },
  })
  expect(found.measured).toBeGreaterThan(2)
})

test('a session outlives its worker, and finds its own of two replicas', async ({ page }) => {
  await giveMortalWorkers(page)
  const found = await page.evaluate(async (url) => {
    const client = await window.tabserve.createClient({ worker: window.mortal.make, threads: 1 })
    await client.load(url, { replicas: 2 })
    const options = { model: 'stories', temperature: 0, ignoreEos: true, maxTokens: 40 }
    const [session, other] = [await client.session(options), await client.session(options)]
    await Promise.all([session.append('Tom and his mom went to the park.'), other.append('The big dog')])
    const home = (await session.generate()).usage.cachedTokens
    const copy = await session.clone()
    const wanted = (await copy.generate()).text
    await session.save('park')
    window.mortal.tell(0, 'die')
    window.mortal.tell(1, 'die')
    const after = await session.generate()
    // No worker has anything of it in its cache.
    const lost = window.mortal.all.length
    const restored = await client.sessions.restore('park')
    const again = await restored.generate()
    client.dispose()
    return { home, wanted, lost, texts: [after.text, again.text], cached: again.usage }
  }, MODEL.stories1)
  expect(found.home).toBeGreaterThan(5)
  expect(found.lost).toBe(4)
  expect(found.texts).toEqual([found.wanted, found.wanted])
  expect(found.cached.cachedTokens).toBe(found.cached.promptTokens - 1)
})

test('tabs that share an engine have sessions of their own there, and what one saves the other restores', async ({
  page,
  context,
  site,
}) => {
  const begin = (page: Page) =>
    page.evaluate(async (url) => {
      window.client = await window.tabserve.createClient({ share: true })
      await window.client.load(url)
      return window.client.role
    }, MODEL.stories1)
  expect(await begin(page)).toBe('leader')
  const follower = await context.newPage()
  await follower.goto(new URL('/script-tag/blank.html', site.url).href)
  expect(await begin(follower)).toBe('follower')
  const wanted = await follower.evaluate(async (greedy) => {
    const session = await window.client.session({ model: 'stories', ...greedy })
    await session.generate('The cat was', { maxTokens: 40 })
    await session.save('cat')
    return (await session.generate('', { maxTokens: 10 })).text
  }, GREEDY)
  await follower.close()
  const found = await page.evaluate(async () => {
    const session = await window.client.sessions.restore('cat')
    const { text, usage } = await session.generate('', { maxTokens: 10 })
    return { text, usage }
  })
  expect(found.text).toBe(wanted)
  expect(found.usage.cachedTokens).toBe(found.usage.promptTokens - 1)
})

async function start(page: Page, url: string, options: object = {}): Promise<void> {
  await page.evaluate(async () => (window.client = await window.tabserve.createClient()))
  await load(page, url, options)
}

async function load(page: Page, url: string, options: object = {}): Promise<void> {
  await page.evaluate(({ url, options }) => window.client.load(url, options), { url, options })
}

/** Changes one byte of a file of the session that is saved as `ball`. */
async function damage(page: Page, file: 'kv' | 'state'): Promise<void> {
  await page.evaluate(
    (file) =>
      new Promise<void>((resolve, reject) => {
        const opening = indexedDB.open('tabserve-weights')
        opening.onerror = () => reject(new Error('no database'))
        opening.onsuccess = () => {
          const objects = opening.result.transaction('weights', 'readwrite').objectStore('weights')
          const record = objects.get('session ball')
          record.onsuccess = () => {
            const { sha256 } = (record.result as Record<string, { sha256: string }>)[file]!
            const key = `chunk ${sha256}-000000`
            const chunk = objects.get(key)
            chunk.onsuccess = () => {
              const bytes = new Uint8Array(chunk.result as ArrayBuffer)
              bytes[10] = (bytes[10] ?? 0) ^ 1
              objects.put(bytes.buffer, key)
              objects.transaction.oncomplete = () => resolve()
            }
          }
        }
      }),
    file,
  )
}

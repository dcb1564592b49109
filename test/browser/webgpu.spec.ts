import type { Page } from 'playwright/test'
import { MODEL, expect, test } from './fixtures.ts'

test.use({ gpu: true })
test.describe.configure({ timeout: 400_000 })

/** One page for all of it: a worker's first steps on a software adapter take ten seconds. */
test('a software GPU is not chosen; asked for, it gives the text of the CPU, alone, together, and when it is lost', async ({
  page,
}) => {
  const fetched: string[] = []
  page.context().on('request', (request) => fetched.push(request.url()))
  await startClient(page)

  const auto = await page.evaluate(async (url) => (await window.client.load(url)).choice, MODEL.stories1)
  expect(auto).toMatchObject({ device: 'wasm', by: 'facts', facts: { gpu: { isSoftware: true } } })
  expect(auto.reason).toContain('software')
  const wanted = await ask(page)
  expect(fetched.filter((url) => url.includes('ort-wasm'))).toEqual([])

  const forced = await page.evaluate(
    async (url) => (await window.client.load(url, { device: 'webgpu', maxRunning: 4 })).choice,
    MODEL.stories1,
  )
  expect(forced).toMatchObject({ device: 'webgpu', by: 'asked' })
  expect(fetched.filter((url) => url.includes('ort-wasm')).every((url) => url.includes('jspi'))).toBe(true)
  expect(await ask(page)).toEqual(wanted)

  // Lost in the middle of four streams.
  await page.context().setOffline(true)
  expect(await ask(page, 1)).toEqual(wanted)
  const once = await stats(page)
  expect(once).toMatchObject({ losses: 1, failed: 0, running: 0, waiting: 0 })
  console.log(`recovered from a lost device in ${once.recoveryMs.toFixed(0)} ms`)

  // Ten times in a row: the CPU takes over, and the page lives.
  await page.context().setOffline(false)
  expect(await ask(page, 10)).toEqual(wanted)
  const info = await page.evaluate(() => window.client.describe('stories'))
  expect(info).toMatchObject({ runner: 'kernels', choice: { device: 'wasm', by: 'facts' } })
  expect(info.choice.reason).toContain('in a row')
  expect((await stats(page)).losses).toBeGreaterThan(3)
})

/** A client whose workers lose their devices when the page says so: the worker file is the user's own. */
async function startClient(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const script = (text: string) => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
    const patch = script(`
      const request = GPUAdapter.prototype.requestDevice
      const devices = []
      GPUAdapter.prototype.requestDevice = async function (...args) {
        const device = await request.apply(this, args)
        devices.push(device)
        return device
      }
      new BroadcastChannel('destroy-devices').onmessage = () => devices.splice(0).forEach((device) => device.destroy())
    `)
    const server = new URL('/tabserve.worker.js', location.href).href
    const worker = script(`import '${patch}'; import '${server}'`)
    const make = () => new Worker(worker, { type: 'module' })
    window.client = await window.tabserve.createClient({ worker: make, threads: 1 })
  })
}

/** Four greedy answers at once; the device is destroyed behind the third token of the first one, and `losses` times in all. */
function ask(page: Page, losses = 0): Promise<string[]> {
  return page.evaluate(async (losses) => {
    const devices = new BroadcastChannel('destroy-devices')
    let left = losses
    const answers = ['Once upon a time', 'Lily', 'The dog', 'One day, Tom'].map(async (prompt, index) => {
      let text = ''
      let pieces = 0
      const stream = window.client.generate({ model: 'stories', prompt, maxTokens: 24, temperature: 0 })
      for await (const piece of stream) {
        text += piece
        if (index === 0 && ++pieces >= 3 && left-- > 0) devices.postMessage(null)
      }
      return text
    })
    return Promise.all(answers)
  }, losses)
}

function stats(page: Page) {
  return page.evaluate(() => window.client.stats('stories'))
}

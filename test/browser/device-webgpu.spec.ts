import { join } from 'node:path'
import type { Page } from 'playwright/test'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../packages/convert/src/write-model.ts'
import { MODEL, NO_HALF, NO_SHARED, expect, hasShared, test } from './fixtures.ts'

test.use({ gpu: true })
test.describe.configure({ timeout: 600_000 })

/** Small, and with products that WebGPU has; without `../shared` the bundled one, whose products run on the CPU. */
const [URL_ON_GPU, NAME_ON_GPU] = hasShared ? [MODEL.fp32, 'stories260K-fp32'] : [MODEL.stories1, 'stories']
/** Longer than the page waits for a worker that makes no progress. */
const SILENCE_MS = 9000
const HANG_MS = 4000

/** One page for all of it: a worker's first steps on a software adapter take ten seconds. */
test('a software GPU is not chosen; asked for, it gives the text of the CPU, alone, together, late, woken, and lost again and again', async ({
  page,
  hasHalf,
}) => {
  const fetched: string[] = []
  page.context().on('request', (request) => fetched.push(request.url()))
  await startClient(page)

  const auto = await load(page, MODEL.stories1)
  expect(auto.choice).toMatchObject({ device: 'wasm', by: 'facts', facts: { gpu: { isSoftware: true } } })
  expect(auto.choice.reason).toContain('software')
  const [bundled] = await ask(page, { model: 'stories', prompts: ['Once upon a time'] })
  await load(page, URL_ON_GPU, { device: 'wasm' })
  const wanted = await ask(page)
  expect(fetched.filter((url) => url.includes('ort-wasm'))).toEqual([])

  if (!hasHalf)
    await expect(load(page, URL_ON_GPU, { device: 'webgpu', kvType: 'float16' })).rejects.toThrow(
      /shader-f16/,
    )

  // int8 products have no kernel on WebGPU: it works, and says so.
  const forced = await load(page, MODEL.stories1, { device: 'webgpu', maxRunning: 1 })
  expect(forced.choice).toMatchObject({ device: 'webgpu', by: 'asked' })
  expect(forced.placement?.unexpected).toContain('MatMulIntegerToFloat')
  expect(forced.runnerReason).toContain('MatMulIntegerToFloat')
  expect(fetched.filter((url) => url.includes('ort-wasm')).every((url) => url.includes('jspi'))).toBe(true)
  expect(await ask(page, { model: 'stories', prompts: ['Once upon a time'] })).toEqual([bundled])
  await page.evaluate(() => window.client.unload('stories'))

  await load(page, URL_ON_GPU, { device: 'webgpu', maxRunning: 4 })
  expect(await numDevices(page)).toBe(1)
  expect(await ask(page)).toEqual(wanted)

  // A step of which nothing is heard for long is the GPU link's business: the worker is not ended for it.
  await tell(page, 'delay')
  const [late] = await ask(page, { prompts: ['Once upon a time'] })
  expect(late).toBe(wanted[0])
  const health = await page.evaluate(() => window.client.health())
  expect(health.models.map(({ replicas }) => replicas.map(({ restarts }) => restarts))).toEqual([[0]])
  expect((await stats(page)).losses).toBe(0)

  // Asleep it has no device, and wakes without the network.
  await page.context().setOffline(true)
  await page.evaluate((name) => window.client.sleep(name), NAME_ON_GPU)
  expect(await stats(page)).toMatchObject({ kvBytes: 0, sleepLevel: 1 })
  await expect.poll(() => numDevices(page)).toBe(0)
  await page.evaluate((name) => window.client.wake(name), NAME_ON_GPU)
  expect(await numDevices(page)).toBe(1)

  // Lost while nothing runs, as by a laptop that slept, and in the middle of four streams, ten times in a row: three times the GPU comes back, then the CPU
  // takes over, and the page lives.
  await tell(page, 'destroy')
  expect(await ask(page, { losses: 10 })).toEqual(wanted)
  const info = await page.evaluate((name) => window.client.describe(name), NAME_ON_GPU)
  expect(info).toMatchObject({ runner: 'kernels', choice: { device: 'wasm', by: 'facts' } })
  expect(info.choice.reason).toContain('in a row')
  const { losses, recoveryMs, failed } = await stats(page)
  expect(losses).toBe(4)
  expect(failed).toBe(0)
  console.log(`${losses} losses, recovered in ${(recoveryMs / losses).toFixed(0)} ms each`)

  await page.context().setOffline(false)
  // Neither the GPU comes back nor has the CPU room: one typed error each, and the page goes on when there is room again.
  await load(page, URL_ON_GPU, { device: 'webgpu', maxRunning: 4 })
  const failures = ask(page, { losses: 1, isLast: true })
  await expect(failures).rejects.toThrow(/device_lost,device_lost,device_lost,device_lost/)
  await expect(ask(page)).rejects.toThrow(/device_lost/)
  await tell(page, 'restore')
  await load(page, URL_ON_GPU, { device: 'wasm' })
  expect(await ask(page)).toEqual(wanted)
})

test('a GPU that does not call itself software is measured against the CPU once, and the verdict is kept and explained', async ({
  page,
}) => {
  test.skip(!hasShared, 'the bundled model has int8 weights, which are not tried')
  await startClient(page, { isHardware: true })
  const { choice, runner } = await load(page, MODEL.q4, { replicas: 1, maxRunning: 2 })
  expect(choice).toMatchObject({ by: 'measured', facts: { gpu: { vendor: 'acme', isSoftware: false } } })
  expect(choice.candidates).toMatchObject([
    { runner: 'kernels', selfTest: { passed: true }, msPerToken: expect.any(Number) },
    { runner: 'webgpu', selfTest: { passed: true }, msPerPromptToken: expect.any(Number) },
  ])
  // It is a CPU that pretends, and so slower.
  expect([choice.device, runner]).toEqual(['wasm', 'kernels'])
  expect(choice.reason).toMatch(/measured .* ms a token on the GPU and .* ms on the CPU/)
  await expect.poll(() => numDevices(page)).toBe(0)

  const again = await load(page, MODEL.q4, { maxRunning: 2 })
  expect(again.choice).toEqual({ ...choice, by: 'kept' })
  // Another model is another question, and where its products would run on the CPU it is not even asked.
  const int8 = await load(page, MODEL.int8, { maxRunning: 2 })
  expect(int8.choice).toMatchObject({ device: 'wasm', by: 'facts' })
  expect(int8.choice.reason).toContain('int8')
})

test('where the adapter has halves a q4 model computes in them, with half the KV and the same text; floats are had on wish, and where halves are too small', async ({
  page,
  hasHalf,
}) => {
  test.skip(!hasHalf, NO_HALF)
  test.skip(!hasShared, NO_SHARED)
  await writeLarge()
  await startClient(page)
  const model = 'stories260K-q4'

  const floats = await load(page, MODEL.q4, { device: 'webgpu', maxRunning: 4, kvType: 'float32' })
  expect(floats).toMatchObject({ activations: 'float32', kvType: 'float32', maxRunning: 4 })
  const wanted = await ask(page, { model })
  await page.evaluate((model) => window.client.unload(model), model)

  const halves = await load(page, MODEL.q4, { device: 'webgpu', maxRunning: 4 })
  expect(halves).toMatchObject({ activations: 'float16', kvType: 'float16', kvBytes: floats.kvBytes / 2 })
  expect(halves.placement?.onCpu).toEqual([])
  expect(await ask(page, { model })).toEqual(wanted)
  expect(await ask(page, { model, losses: 1 })).toEqual(wanted)
  await page.evaluate((model) => window.client.unload(model), model)

  // Its activations are beyond 65504: attention, behind a norm, still has halves.
  const large = await load(page, '/fixtures/large/', { device: 'webgpu', maxRunning: 1 })
  expect(large).toMatchObject({ activations: 'float32', kvType: 'float16' })
  expect(large.runnerReason).toContain(
    'not with activations in halves: what this model computes is too large',
  )
})

/** A random model whose embedding is a million times as large as others'. */
async function writeLarge(): Promise<void> {
  const shape = { hiddenSize: 64, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 64, vocabSize: 300 }
  const spec = { ...randomDecoder(shape, 64, 3, true), embeddingScale: 1e6 }
  const out = join(import.meta.dirname, '../../dist/fixtures/large')
  const tokenizer = vocabularyTokenizer(syntheticVocabulary(shape.vocabSize), 64)
  await writeModel(spec, tokenizer, { out, name: 'large', version: '1', weights: 'q4', force: true })
}

type Command = 'destroy' | 'delay' | 'vanish' | 'restore' | 'count'

/**
 * A client whose workers do with their devices what the page says: the worker file is the user's own. `destroy` loses them; `delay` has the next answer
 * of one come late; `vanish` loses them for good, and all memory with them, until `restore`. @param isHardware the adapter hides that it is software.
 */
async function startClient(page: Page, { isHardware = false } = {}): Promise<void> {
  await page.evaluate(
    async ({ isHardware, silenceMs, hangTimeoutMs }) => {
      const script = (text: string) => URL.createObjectURL(new Blob([text], { type: 'text/javascript' }))
      const patch = script(`
        const devices = new Set()
        const channel = new BroadcastChannel('devices')
        let isLate = false
        let isGone = false
        const wrap = (prototype, method, around) => {
          const plain = prototype[method]
          prototype[method] = function (...args) { return around.call(this, () => plain.apply(this, args)) }
        }
        wrap(GPU.prototype, 'requestAdapter', async (ask) => (isGone ? null : ask()))
        wrap(GPUAdapter.prototype, 'requestDevice', async (ask) => {
          const device = await ask()
          devices.add(device)
          device.lost.then(() => devices.delete(device))
          return device
        })
        wrap(GPUBuffer.prototype, 'mapAsync', async (ask) => {
          if (isLate) {
            isLate = false
            await new Promise((resolve) => setTimeout(resolve, ${silenceMs}))
          }
          return ask()
        })
        wrap(WebAssembly.Memory.prototype, 'grow', (ask) => {
          if (isGone) throw new RangeError('no memory')
          return ask()
        })
        if (${isHardware}) Object.defineProperty(GPUAdapter.prototype, 'info', {
          value: { vendor: 'acme', architecture: 'one', description: '', isFallbackAdapter: false },
        })
        channel.onmessage = ({ data }) => {
          if (data === 'count') for (const _ of devices) channel.postMessage('device')
          if (data === 'delay') isLate = true
          if (data === 'vanish') isGone = true
          if (data === 'restore') isGone = false
          if (data === 'destroy' || data === 'vanish') for (const device of devices) device.destroy()
        }
      `)
      const server = new URL('/tabserve.worker.js', location.href).href
      const worker = script(`import '${patch}'; import '${server}'`)
      const make = () => new Worker(worker, { type: 'module' })
      window.client = await window.tabserve.createClient({ worker: make, threads: 1, hangTimeoutMs })
    },
    { isHardware, silenceMs: SILENCE_MS, hangTimeoutMs: HANG_MS },
  )
}

function load(page: Page, url: string, options: Parameters<typeof window.client.load>[1] = {}) {
  return page.evaluate(([url, options]) => window.client.load(url, options), [url, options] as const)
}

function tell(page: Page, command: Command): Promise<void> {
  return page.evaluate((command) => new BroadcastChannel('devices').postMessage(command), command)
}

/** Devices that workers hold. */
function numDevices(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const channel = new BroadcastChannel('devices')
    let count = 0
    channel.onmessage = () => count++
    channel.postMessage('count')
    await new Promise((resolve) => setTimeout(resolve, 500))
    channel.close()
    return count
  })
}

interface Asked {
  readonly model?: string
  readonly prompts?: readonly string[]
  /** How often devices are destroyed, for the first time behind the third piece of the first answer. */
  readonly losses?: number
  /** Nothing comes back after a loss. */
  readonly isLast?: boolean
}

const PROMPTS = ['Once upon a time', 'Lily', 'The dog', 'One day, Tom']

/** Greedy answers, all at once. Throws the codes of all failures. */
function ask(page: Page, { model = NAME_ON_GPU, prompts = PROMPTS, losses = 0, isLast = false }: Asked = {}) {
  return page.evaluate(
    async ({ model, prompts, losses, command }) => {
      const devices = new BroadcastChannel('devices')
      let left = losses
      const answers = prompts.map(async (prompt, index) => {
        let text = ''
        let pieces = 0
        const stream = window.client.generate({ model, prompt, maxTokens: 24, temperature: 0 })
        for await (const piece of stream) {
          text += piece
          if (index === 0 && ++pieces >= 3 && left-- > 0) devices.postMessage(command)
        }
        return text
      })
      const settled = await Promise.allSettled(answers)
      const codes = settled.flatMap((end) => (end.status === 'rejected' ? [end.reason.code] : []))
      if (codes.length > 0) throw new Error(codes.join())
      return settled.flatMap((end) => (end.status === 'fulfilled' ? [end.value] : []))
    },
    { model, prompts, losses, command: isLast ? 'vanish' : 'destroy' },
  )
}

function stats(page: Page) {
  return page.evaluate((name) => window.client.stats(name), NAME_ON_GPU)
}

import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, test } from './fixtures.ts'

const MODEL = join(import.meta.dirname, '../../models/stories/v1')
const SAYS_ADDRESS = /http:\/\/127\.0\.0\.1:\d+\/\S*/

test('npx tabserve says what a model folder is and what it runs on, and refuses what it does not know', async ({
  consumer,
}) => {
  const run = (...args: string[]) => promisify(execFile)(consumer.path('node_modules/.bin/tabserve'), args)
  const { stdout } = await run('inspect', MODEL)
  for (const fact of ['stories@1', 'int8', 'on our kernels, without onnxruntime'])
    expect(stdout).toContain(fact)
  await expect(run('inspect', consumer.folder)).rejects.toMatchObject({
    code: 1,
    stderr: /no model's folder/,
  })
  await expect(run('bake')).rejects.toMatchObject({
    code: 2,
    stderr: /unknown command "bake"[^]*usage: tabserve/,
  })
  await expect(run('convert')).rejects.toMatchObject({ code: 2, stderr: /usage: tabserve convert hf/ })
})

test('npx tabserve convert makes a model that inspect finds whole', async ({ consumer }) => {
  const run = (...args: string[]) => promisify(execFile)(consumer.path('node_modules/.bin/tabserve'), args)
  const out = consumer.path('made')
  const shape = ['--shape', '32/2/2/1/64/300', '--weights', 'q4', '--out', out]
  expect((await run('convert', 'random', ...shape)).stdout).toContain('random@1')
  expect((await run('inspect', join(out, 'manifest.json'))).stdout).toContain('q4')
})

test('npx tabserve serve sends the headers of isolation, and ranges, until it is told to end', async ({
  consumer,
}) => {
  const serving = start(consumer.path('node_modules/.bin/tabserve'), 'serve', consumer.folder, '--port', '0')
  try {
    const url = await serving.address
    const whole = await fetch(new URL('package.json', url))
    expect(Object.fromEntries(whole.headers)).toMatchObject({
      'cross-origin-opener-policy': 'same-origin',
      'cross-origin-embedder-policy': 'require-corp',
      'content-type': 'application/json',
    })
    const part = await fetch(new URL('package.json', url), { headers: { range: 'bytes=0-3' } })
    expect(part.status).toBe(206)
    expect(await part.text()).toHaveLength(4)
  } finally {
    expect(await serving.end()).toBe(0)
  }
})

test('npx tabserve bench gives a page that measures the model', async ({ consumer, page }) => {
  const bin = consumer.path('node_modules/.bin/tabserve')
  const serving = start(bin, 'bench', MODEL, '--open', '--max-tokens', '8', '--together', '2')
  try {
    await page.goto(await serving.address)
    const figures = await page.evaluate(() => (globalThis as unknown as { figures: Promise<object> }).figures)
    expect(figures).toMatchObject({ model: 'stories@1', runner: 'kernels', together: { answers: 2 } })
    for (const value of Object.values(figures))
      if (typeof value === 'number') expect(value).toBeGreaterThan(0)
    await expect(page.locator('body')).toContainText('tokens/s together')
  } finally {
    expect(await serving.end()).toBe(0)
  }
})

/** A command that goes on until it is ended, and prints an address. */
function start(program: string, ...args: string[]) {
  const child = spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  let said = ''
  const address = new Promise<string>((resolve, reject) => {
    child.stdout.on('data', (data) => {
      said += String(data)
      const [found] = SAYS_ADDRESS.exec(said) ?? []
      if (found !== undefined) resolve(found)
    })
    child.on('exit', () => reject(new Error(`it ended without an address: ${said}`)))
  })
  const end = async (): Promise<number | null> => {
    child.kill('SIGTERM')
    const [code] = (await once(child, 'exit')) as [number | null]
    return code
  }
  return { address, end }
}

import { mkdtemp, mkdir, rm, writeFile } from 'node:fs/promises'
import { request } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { StaticServer } from '../../packages/dev/src/serve.ts'
import { serve } from '../../packages/dev/src/serve.ts'

let folder: string
let server: StaticServer

test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tabserve-serve-'))
  await mkdir(join(folder, 'site/page'), { recursive: true })
  await writeFile(join(folder, 'site/page/index.html'), '<p>page</p>')
  await writeFile(join(folder, 'site/data.wasm'), '0123456789')
  await writeFile(join(folder, 'secret.txt'), 'secret')
  server = await serve({ root: join(folder, 'site'), port: 0 })
})

test.afterEach(async () => {
  await server.close()
  await rm(folder, { recursive: true })
})

test('files come with their type and the headers of an isolated page', async () => {
  const response = await fetch(`${server.url}data.wasm`)
  expect(await response.text()).toBe('0123456789')
  expect(response.headers.get('content-type')).toBe('application/wasm')
  expect(response.headers.get('cross-origin-opener-policy')).toBe('same-origin')
  expect(response.headers.get('cross-origin-embedder-policy')).toBe('require-corp')
})

test('a folder is its index.html, and its address gets its slash', async () => {
  const response = await fetch(`${server.url}page`)
  expect(response.url).toBe(`${server.url}page/`)
  expect(await response.text()).toBe('<p>page</p>')
})

test('the bytes of files that were sent are counted, of ranges only what they hold, and of what is not there none', async () => {
  const servedBytes = async () =>
    ((await (await fetch(`${server.url}served-bytes`)).json()) as { bytes: number }).bytes
  expect(await servedBytes()).toBe(0)
  await (await fetch(`${server.url}data.wasm`)).text()
  await (await fetch(`${server.url}data.wasm`, { headers: { range: 'bytes=2-4' } })).text()
  await (await fetch(`${server.url}nothing`)).text()
  expect(await servedBytes()).toBe(13)
})

for (const [range, status, body] of [
  ['bytes=2-4', 206, '234'],
  ['bytes=7-', 206, '789'],
  ['bytes=-3', 206, '789'],
  ['bytes=8-100', 206, '89'],
  ['bytes=20-', 416, ''],
] as const) {
  test(`the range ${range} is answered with ${status}`, async () => {
    const response = await fetch(`${server.url}data.wasm`, { headers: { range } })
    expect(response.status).toBe(status)
    expect(await response.text()).toBe(body)
  })
}

for (const path of [
  '/../secret.txt',
  '/%2e%2e/secret.txt',
  '/page/..%2f..%2fsecret.txt',
  '/%00',
  '/%',
  '/nothing',
]) {
  test(`${path} is not found`, async () => {
    // `fetch` would tidy the path up; this sends it as it is.
    const status = await new Promise((resolve, reject) => {
      const { hostname, port } = new URL(server.url)
      request({ hostname, port, path }, (response) => resolve(response.resume().statusCode))
        .on('error', reject)
        .end()
    })
    expect(status).toBe(404)
  })
}

import type { Page } from 'playwright/test'
import { NO_SHARED, expect, hasShared, test } from './fixtures.ts'

test.skip(!hasShared, NO_SHARED)

const FOLDER = '/fixtures/one-shot/'

/** The bytes of a file beside the models. */
async function open(page: Page, model: string, options: object = {}): Promise<void> {
  await page.evaluate(
    async ([url, options]) => {
      window.client = await window.tabserve.createClient({ threads: 1 })
      await window.client.load(url, options)
    },
    [FOLDER + model, options] as const,
  )
}

test('MNIST: 10,000 images one a request, computed together, are read right', async ({ page }) => {
  await open(page, 'mnist-12.onnx', { maxWaiting: 20_000 })
  const found = await page.evaluate(async (folder) => {
    const bytes = async (name: string) => new Uint8Array(await (await fetch(folder + name)).arrayBuffer())
    const [images, labels] = [await bytes('mnist-images-idx3'), await bytes('mnist-labels-idx1')]
    const began = performance.now()
    const answers = Array.from({ length: 10_000 }, async (_, index) => {
      const data = Float32Array.from(images.subarray(16 + 784 * index, 16 + 784 * (index + 1)))
      const input = { datatype: 'FP32', shape: [1, 1, 28, 28], data } as const
      const { outputs } = await window.client.infer({ model: 'mnist-12', inputs: { Input3: input } })
      const scores = outputs['Plus214_Output_0']?.data as Float32Array
      return scores.indexOf(Math.max(...scores)) === labels[8 + index]
    })
    const right = (await Promise.all(answers)).filter(Boolean).length
    const ms = performance.now() - began
    const { graph, manifest } = await window.client.describe('mnist-12')
    return { right, ms, graph, task: manifest.task, stats: (await window.client.stats('mnist-12')).oneShot }
  }, FOLDER)
  console.log(JSON.stringify(found))
  expect(found.right).toBeGreaterThanOrEqual(9800)
})

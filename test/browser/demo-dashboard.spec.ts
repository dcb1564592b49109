import type { Page } from 'playwright/test'
import { expect, test } from './fixtures.ts'

test('figures and charts move under load, agree with metrics(), and tell of a canary and of a killed worker', async ({
  page,
  site,
}) => {
  test.setTimeout(180_000)
  await page.goto(new URL('/dashboard/index.html', site.url).href)
  await page.getByTestId('users').fill('6')
  await page.getByTestId('start').click()
  await expect.poll(() => figure(page, 'done'), { timeout: 30_000 }).toBeGreaterThan(5)
  await expect.poll(() => page.locator('.chart[data-points="0"]').count()).toBe(0)
  await expect(page.locator('.chart canvas')).toHaveCount(8)
  await expect(page.getByTestId('trace')).toContainText('prefill')
  await expect(page.getByTestId('versions')).toContainText('stories@1')
  await page.getByTestId('stop').click()
  await expect.poll(() => figure(page, 'running')).toBe(0)
  // Counted on the page by the hook, and in the engine.
  await expect.poll(async () => (await numSucceeded(page)) - (await figure(page, 'done'))).toBe(0)
  await page.getByTestId('start').click()
  await page.getByTestId('canary').click()
  await expect(page.getByTestId('news')).toContainText('stories@1 → stories@2: progressing', {
    timeout: 30_000,
  })
  await page.getByTestId('kill').click()
  await expect(page.getByTestId('news')).toContainText('Another worker takes its place')
  await expect.poll(() => figure(page, 'restarts')).toBeGreaterThan(0)
  await expect(page.getByTestId('versions')).toContainText('stories@2', { timeout: 30_000 })
  expect(await figure(page, 'failed')).toBe(0)
})

async function figure(page: Page, name: string): Promise<number> {
  return Number(await page.getByTestId(`figure-${name}`).innerText())
}

function numSucceeded(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const metrics = await window.client.metrics()
    const samples = metrics.find(({ name }) => name === 'tabserve:request_success')?.samples ?? []
    return samples
      .filter(({ labels }) => labels['finished_reason'] !== 'error')
      .reduce((sum, { value }) => sum + (typeof value === 'number' ? value : 0), 0)
  })
}

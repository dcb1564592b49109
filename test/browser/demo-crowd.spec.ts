import type { Page } from 'playwright/test'
import { expect, test } from './fixtures.ts'

test('many streams move at once, one at a time without batching, and the page tells the difference', async ({
  page,
  site,
}) => {
  await page.goto(new URL('/crowd/index.html', site.url).href)
  await page.getByTestId('size').fill('12')
  const together = await mostWriting(page)
  expect(together).toBeGreaterThanOrEqual(4)
  await page.getByTestId('batching').uncheck()
  // The page hears of an end a moment after the next stream's first words.
  expect(await mostWriting(page)).toBeLessThanOrEqual(2)
  await expect(page.getByTestId('comparison')).toHaveText(
    /^8 at once: .* tokens\/s, 12 stories in .* One at a time: .* tokens\/s, 12 stories in .* [\d.]+× as fast\.$/,
  )
  await expect(page.getByTestId('figures')).toContainText('Tokens a step')
})

test('stop ends every stream, and the crowd can start again', async ({ page, site }) => {
  await page.goto(new URL('/crowd/index.html', site.url).href)
  await page.getByTestId('start').click()
  await expect(page.locator('[data-state=writing]').first()).toBeVisible()
  await page.getByTestId('stop').click()
  await expect(page.getByTestId('status')).toHaveText('Stopped.')
  await expect(page.locator('[data-state=stopped]').first()).toBeVisible()
  await expect(page.locator('[data-state=writing], [data-state=waiting]')).toHaveCount(0)
  await page.getByTestId('size').fill('2')
  await page.getByTestId('start').click()
  await expect(page.getByTestId('status')).toHaveText(/^All done in /)
})

/** Starts a crowd, waits for its end, and gives the largest number of cards that were growing between two looks. */
async function mostWriting(page: Page): Promise<number> {
  await page.evaluate(() => {
    let most = 0
    const look = () => {
      most = Math.max(most, document.querySelectorAll('[data-state=writing]').length)
      document.body.dataset['most'] = String(most)
    }
    const observer = new MutationObserver(look)
    observer.observe(document.body, { subtree: true, attributeFilter: ['data-state'] })
  })
  await page.getByTestId('start').click()
  await expect(page.getByTestId('status')).toHaveText(/^All done in /, { timeout: 30_000 })
  await expect(page.locator('[data-state=done]')).toHaveCount(12)
  return page.evaluate(() => Number(document.body.dataset['most']))
}

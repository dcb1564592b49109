import type OpenAI from 'openai'
import type { Page } from 'playwright/test'

declare global {
  interface Window {
    sdk: InstanceType<typeof OpenAI>
  }
}

/** Gives a page of the doors the official SDK on its client, as `window.sdk`. */
export function giveSdk(page: Page): Promise<void> {
  return page.evaluate(() => {
    window.sdk = new window.doors.OpenAI({
      apiKey: 'none',
      baseURL: 'https://tabserve.local/v1',
      fetch: window.client.fetch,
      dangerouslyAllowBrowser: true,
      maxRetries: 0,
    })
  })
}

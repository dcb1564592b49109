import type { Page } from 'playwright'
import type { Session } from 'tabserve'
import type { Figure } from './figure.ts'
import { interleave } from './interleave.ts'

declare global {
  interface Window {
    benchSession: Session
  }
}

const ROUNDS = 5

/** Milliseconds to the first token behind `length` tokens: read anew, and out of a saved session; and what saving it costs. @param model in `window.client` */
export async function sessionFigures(page: Page, model: string, length: number): Promise<Figure[]> {
  const savedBytes = await page.evaluate(
    async ({ model, length }) => {
      const session = await window.client.session({ model, ignoreEos: true, temperature: 0 })
      await session.generate('a', { maxTokens: 1 })
      await session.generate('', { maxTokens: length - session.usage.tokens })
      window.benchSession = session
      return (await session.save('bench')).bytes
    },
    { model, length },
  )
  const ms = await interleave(
    {
      read: () =>
        page.evaluate(async () => {
          const { tokens, model } = window.benchSession
          const started = performance.now()
          await window.client.generate({
            model,
            promptTokens: [...tokens],
            maxTokens: 1,
            readPrefixCache: false,
          })
          return performance.now() - started
        }),
      restored: () =>
        page.evaluate(async () => {
          const started = performance.now()
          const session = await window.client.sessions.restore('bench')
          await session.generate('', { maxTokens: 1 })
          session.destroy()
          return performance.now() - started
        }),
      saved: () =>
        page.evaluate(async () => {
          const started = performance.now()
          await window.benchSession.save('bench')
          return performance.now() - started
        }),
    },
    ROUNDS,
  )
  const what = (name: string) =>
    `${model}, ${length} tokens (${(savedBytes / 2 ** 20).toFixed(1)} MiB), ${name}`
  const figure = (name: keyof typeof ms, metric: string): Figure => ({
    suite: 'doors',
    case: what(name),
    metric,
    value: ms[name],
    unit: 'ms',
  })
  return [
    figure('read', 'first token'),
    { ...figure('restored', 'first token'), against: what('read'), ratio: ms.read / ms.restored },
    figure('saved', 'save'),
  ]
}

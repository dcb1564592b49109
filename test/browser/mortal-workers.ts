import type { Page } from 'playwright/test'

declare global {
  interface Window {
    /** Workers that obey `die`, without a word, as when the browser kills them, and `hang`, as in a loop without an end. */
    mortal: { readonly all: Worker[]; make(): Worker; tell(index: number, what: 'die' | 'hang'): void }
  }
}

/** Gives the page a factory of workers that can be killed, for `createClient({ worker: window.mortal.make })`. */
export async function giveMortalWorkers(page: Page): Promise<void> {
  await page.evaluate(() => {
    const target = new URL('../tabserve.worker.js', location.href).href
    const script = `
      import ${JSON.stringify(target)}
      addEventListener('message', ({ data }) => {
        if (data === 'die') close()
        if (data === 'hang') for (;;);
      })`
    const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }))
    const all: Worker[] = []
    window.mortal = {
      all,
      make() {
        const worker = new Worker(url, { type: 'module' })
        all.push(worker)
        return worker
      },
      tell: (index, what) => all.at(index)?.postMessage(what),
    }
  })
}

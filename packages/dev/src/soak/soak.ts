import type { Page } from 'playwright'
import type { Visit } from './users.ts'
import { beginUsers } from './users.ts'

export interface SoakOptions {
  readonly seconds: number
  /** Whose heaps are measured: with the workers' it takes up to 20 s, twice. */
  readonly heaps: 'page' | 'page and workers'
  /** A page with `window.tabserve`; all in one browser. */
  openPage(): Promise<Page>
  log(text: string): void
}

/** What must be afterwards as it was before. */
interface Footprint {
  /** The page's; with the workers' wasm included, where they are measured. */
  readonly heapBytes: number
  readonly storedBytes: number
  readonly locks: number
  readonly busy: number
  readonly usedBlocks: number
  readonly kvBytes: number
  /** What `kvBytes` may grow to, with the most that ask at once. */
  readonly kvLimitBytes: number
}

export interface SoakReport {
  readonly visits: readonly Visit[]
  readonly before: Footprint
  readonly after: Footprint
  readonly restarts: number
  /** Longest task of the page's main thread, by the wall clock: on a busy machine it waits for a core, too. */
  readonly longestTaskMs: number
  /** Everything that should not have been; empty: passed. */
  readonly problems: readonly string[]
}

const MODEL = '/models/stories/v1/'
const ID = 'stories@1'
const NUM_USERS = 24
/** Of them in the tab that closes. */
const NUM_GUESTS = 8
const GUESTS_SEED = 4
/** Whoever has not got an answer so long after the last question will get none. */
const PATIENCE_MS = 60_000
/** Garbage and compiled code that a heap may hold beyond what it held at first. */
const MOST_GROWTH_BYTES = 24 * 2 ** 20

/** People in two tabs that share an engine, whose worker is killed, whose model sleeps, and one of whose tabs closes, all in the middle. */
export async function soak({ seconds, heaps, openPage, log }: SoakOptions): Promise<SoakReport> {
  const problems: string[] = []
  const host = await open(openPage, problems)
  await host.evaluate((url) => window.client.load(url, { maxWaiting: 256 }), MODEL)
  await visitBy(host, 0, 0, 1)
  await visitBy(host, NUM_USERS, 2, 2) // what grows once has grown: KV, code, the grammar's worker
  const before = await footprint(host, heaps)
  const guest = await open(openPage, problems)
  const alone = await host.evaluate(() => window.alone)
  await guest.evaluate((alone) => void (window.alone = alone), alone)
  await begin(host, NUM_USERS - NUM_GUESTS, seconds, 3)
  await begin(guest, NUM_GUESTS, seconds, GUESTS_SEED)
  const act = async (text: string) => {
    log(text)
    await host.evaluate((text) => window.visit.acts.push(`${performance.now()} ms: ${text}`), text)
  }
  const nextAct = () => host.waitForTimeout((seconds * 1000) / 4)
  await nextAct()
  await act('The worker is killed.')
  await host.evaluate(() => window.kill())
  await nextAct()
  await act('The model sleeps, and wakes.')
  await host.evaluate(async (id) => {
    await window.client.sleep(id, { level: 1, running: 'keep' })
    await window.client.wake(id)
  }, ID)
  await nextAct()
  await act('A tab closes.')
  const guests = await guest.evaluate(() => window.visit)
  await guest.close()
  await host.evaluate(
    (ms) => Promise.race([window.visitors, new Promise((resolve) => setTimeout(resolve, ms))]),
    PATIENCE_MS,
  )
  problems.push(...(await forgetGuests(host)))
  const after = await footprint(host, heaps)
  const { visit, restarts, longestTaskMs } = await host.evaluate(async () => ({
    visit: window.visit,
    restarts: (await window.client.health()).models[0]?.replicas[0]?.restarts ?? 0,
    longestTaskMs: window.longestTaskMs,
  }))
  problems.push(...guests.problems, ...visit.problems, ...unended(visit), ...grown(before, after))
  if (restarts !== 1) problems.push(`the worker was replaced ${restarts} times in place of once`)
  return { visits: [visit, guests], before, after, restarts, longestTaskMs, problems }
}

declare global {
  interface Window {
    kill(): void
    longestTaskMs: number
  }
}

/** A tab that shares its engine and whose worker can be killed. What its console calls an error is a problem. */
async function open(openPage: () => Promise<Page>, problems: string[]): Promise<Page> {
  const page = await openPage()
  page.on('pageerror', (error) => problems.push(`not caught: ${String(error)}`))
  page.on('console', (said) => said.type() === 'error' && problems.push(`on the console: ${said.text()}`))
  // tsx has functions that are sent to the page call this for their names.
  await page.evaluate('globalThis.__name = (named) => named')
  await page.evaluate(async () => {
    const target = new URL('../tabserve.worker.js', location.href).href
    const script = `import ${JSON.stringify(target)}
      addEventListener('message', ({ data }) => data === 'die' && close())`
    const url = URL.createObjectURL(new Blob([script], { type: 'text/javascript' }))
    const workers: Worker[] = []
    window.kill = () => workers[0]?.postMessage('die')
    window.visit = {
      asked: {},
      ended: {},
      numTokens: 0,
      numCut: 0,
      problems: [],
      ends: {},
      begins: {},
      acts: [],
    }
    window.longestTaskMs = 0
    new PerformanceObserver((list) => {
      for (const { duration } of list.getEntries())
        window.longestTaskMs = Math.max(window.longestTaskMs, duration)
    }).observe({ type: 'longtask' })
    window.client = await window.tabserve.createClient({
      share: true,
      worker: () => {
        const worker = new Worker(url, { type: 'module' })
        workers.push(worker)
        return worker
      },
      telemetry(event) {
        const { ends, begins } = window.visit
        if (event.type === 'request-start') {
          ends[event.id] ??= 0
          begins[event.id] ??= performance.now()
        }
        if (event.type === 'request-end') ends[event.id] = (ends[event.id] ?? 0) + 1
      },
    })
  })
  return page
}

/** @param numUsers 0: everything once, one by one. */
async function begin(page: Page, numUsers: number, seconds: number, seed: number): Promise<void> {
  await page.evaluate(beginUsers, { model: ID, numUsers, seconds, seed })
}

async function visitBy(page: Page, numUsers: number, seconds: number, seed: number): Promise<void> {
  await begin(page, numUsers, seconds, seed)
  await page.evaluate(() => window.visitors)
}

/** What the tab that closed had saved is still there, and nothing else is: who is left has deleted their own. */
function forgetGuests(host: Page): Promise<string[]> {
  return host.evaluate(async (guests) => {
    const saved = await window.client.sessions.list()
    for (const { name } of saved) await window.client.sessions.delete(name)
    return saved.filter(({ name }) => !name.startsWith(guests)).map(({ name }) => `${name} is still saved`)
  }, `soak ${GUESTS_SEED} `)
}

async function footprint(page: Page, heaps: SoakOptions['heaps']): Promise<Footprint> {
  await page.waitForTimeout(200) // last words cross threads
  const heapBytes = heaps === 'page' ? await pageHeap(page) : await allHeaps(page)
  const rest = await page.evaluate(async (id) => {
    const { held = [], pending = [] } = await navigator.locks.query()
    const stats = await window.client.stats(id)
    const { kvBytes: kvLimitBytes } = await window.client.describe(id)
    return {
      storedBytes: (await window.client.models.storage()).usedBytes,
      locks: held.length + pending.length,
      busy: stats.running + stats.waiting,
      usedBlocks: stats.blocks?.used ?? 0,
      kvBytes: stats.kvBytes,
      kvLimitBytes,
    }
  }, ID)
  return { heapBytes, ...rest }
}

async function pageHeap(page: Page): Promise<number> {
  const cdp = await page.context().newCDPSession(page)
  await cdp.send('HeapProfiler.collectGarbage')
  const { usedSize } = await cdp.send('Runtime.getHeapUsage')
  await cdp.detach()
  return usedSize
}

function allHeaps(page: Page): Promise<number> {
  return page.evaluate(async () => {
    const measure = performance as Performance & {
      measureUserAgentSpecificMemory?: () => Promise<{ bytes: number }>
    }
    return (await measure.measureUserAgentSpecificMemory?.())?.bytes ?? NaN
  })
}

function unended({ asked, ended, ends, begins, acts }: Visit): string[] {
  const open = Object.entries(asked).filter(([kind, count]) => ended[kind] !== count)
  const odd = Object.entries(ends).filter(([, count]) => count !== 1)
  return [
    ...open.map(([kind, count]) => `${ended[kind] ?? 0} of ${count} visits of the kind ${kind} have ended`),
    ...(Object.keys(ends).length === 0 ? ['nothing was told of any request'] : []),
    ...odd.map(
      ([id, count]) =>
        `request ${id}, begun at ${begins[id]} ms, has ended ${count} times; ${acts.join(', ')}`,
    ),
  ]
}

function grown(before: Footprint, after: Footprint): string[] {
  const heapBytes = after.heapBytes - before.heapBytes
  return [
    ...(['storedBytes', 'locks'] as const)
      .filter((what) => after[what] > before[what])
      .map((what) => `${what} was ${before[what]} and is ${after[what]}`),
    ...(['busy', 'usedBlocks'] as const)
      .filter((what) => after[what] !== 0)
      .map((what) => `${what} is ${after[what]} when nobody asks`),
    ...(after.kvBytes > after.kvLimitBytes ? [`kvBytes is ${after.kvBytes} of ${after.kvLimitBytes}`] : []),
    ...(heapBytes > MOST_GROWTH_BYTES ? [`the heaps have grown by ${heapBytes} bytes`] : []),
  ]
}

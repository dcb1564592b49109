import type { GenerateRequest, LoadRequest, ModelInfo, Split } from '@tabserve/protocol'
import { handOver } from '../link.ts'
import type { WorkerLink } from '../worker-link.ts'

/** Requests that each replica answers at once: what batching is for, and no more than users may have. */
const MOST_RUNNING = 8
/** The longest wait until all of them have begun. */
const BEGIN_MS = 2000
const WINDOW_MS = 300
/** The middle one of so many counts: what else the machine does spoils single ones. */
const NUM_WINDOWS = 3
const LOOK_MS = 10

export interface Metered {
  readonly info: ModelInfo
  readonly tokensPerSecond: number
}

/**
 * Loads a model into so many workers of its own, has all of them answer at full queues, and counts tokens. The workers are ended afterwards.
 * @param port where the first one's load tells of itself. Throws what keeps one from loading.
 */
export async function meterSplit(
  request: LoadRequest,
  { replicas, threads }: Split,
  startWorker: (threads: number) => Promise<WorkerLink>,
  port?: MessagePort,
): Promise<Metered> {
  const workers: WorkerLink[] = []
  const start = async (port = new MessageChannel().port2) => {
    const worker = await startWorker(threads)
    workers.push(worker)
    return worker.loading(() => worker.link.call((api) => api.load(request, handOver(port))))
  }
  try {
    const info = await start(port)
    await Promise.all(Array.from({ length: replicas - 1 }, () => start()))
    return { info, tokensPerSecond: await countTokens(workers, info) }
  } finally {
    for (const worker of workers) worker.terminate('its speed was measured')
  }
}

async function countTokens(workers: readonly WorkerLink[], info: ModelInfo): Promise<number> {
  const perWorker = Math.min(MOST_RUNNING, info.maxRunning)
  for (const worker of workers)
    for (let index = 0; index < perWorker; index++) void keepAsking(worker, info, index)
  const progress = async () => {
    const asked = performance.now()
    const all = await Promise.all(workers.map(({ link }) => link.call((api) => api.stats(info.id))))
    return {
      tokens: all.reduce((sum, { generatedTokens }) => sum + generatedTokens, 0),
      running: all.reduce((sum, { running, waiting }) => sum + (waiting > 0 ? 0 : running), 0),
      // The workers have counted somewhere between question and answer.
      at: (asked + performance.now()) / 2,
    }
  }
  const began = performance.now()
  while ((await progress()).running < perWorker * workers.length && performance.now() - began < BEGIN_MS)
    await pause(LOOK_MS)
  const rates: number[] = []
  let last = await progress()
  while (rates.length < NUM_WINDOWS) {
    await pause(WINDOW_MS)
    const next = await progress()
    rates.push((1000 * (next.tokens - last.tokens)) / (next.at - last.at))
    last = next
  }
  return rates.toSorted((one, other) => one - other)[NUM_WINDOWS >> 1] ?? 0
}

/** One answer after the other, each as long as the context lets it, until the worker is ended. Nobody hears them. Never rejects. */
async function keepAsking(
  { link }: WorkerLink,
  { id, contextLength }: ModelInfo,
  index: number,
): Promise<void> {
  const request: GenerateRequest = {
    task: 'generate',
    model: id,
    promptTokens: [1 + index],
    maxTokens: contextLength - 1,
    seed: index,
    ignoreEos: true,
    readPrefixCache: false,
  }
  while (link.alive) {
    const { port2 } = new MessageChannel()
    await link.ask((api) => api.submit(request, handOver(port2), `split ${index}`, false)).catch(() => {}) // ended with its worker
  }
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms))
}

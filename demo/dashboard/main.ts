import type { Client, Metric } from 'tabserve'
import { createClient } from 'tabserve'
import { Alert } from '../chat/alert.ts'
import { byId, make } from '../chat/element.ts'
import { bytes, count } from '../chat/format.ts'
import { Board } from './board.ts'
import type { EngineFigures } from './engine-figures.ts'
import { figuresOf } from './engine-figures.ts'
import { NewsView } from './news-view.ts'
import { Recorder } from './recorder.ts'
import { showTrace } from './trace-view.ts'
import { Users } from './users.ts'
import { showVersions } from './versions-view.ts'

const MODELS = '../models/stories/'
const ALIAS = 'writer'
const FIRST = 'stories@1'
const SECOND = 'stories@2'
const POLL_MS = 500
const CANARY = { steps: [20, 50, 100], holdMs: 5000 }

declare global {
  interface Window {
    /** For the console: `await client.metrics()`. */
    client: Client
  }
}

const alert = new Alert(byId('alert', HTMLElement))
const status = byId('status', HTMLElement)
const start = byId('start', HTMLButtonElement)
const stop = byId('stop', HTMLButtonElement)
const canary = byId('canary', HTMLButtonElement)
const kill = byId('kill', HTMLButtonElement)
const news = new NewsView(byId('news', HTMLElement))
const recorder = new Recorder((event) => news.show(event))
const workers: Worker[] = []

void run().catch((error: unknown) => alert.show(error))

async function run(): Promise<void> {
  status.textContent = 'Loading the model…'
  const board = await Board.create(byId('charts', HTMLElement))
  const client = (window.client = await createClient({
    worker: makeWorker,
    telemetry: (event) => recorder.take(event),
  }))
  await client.register(MODELS)
  await client.load(FIRST)
  client.setAlias(ALIAS, FIRST)
  const users = new Users(client, ALIAS, (error) => alert.show(error))
  control(client, users)
  status.textContent = 'Ready. Nobody asks yet.'
  for (;;) {
    const figures = figuresOf(await client.metrics().catch(() => [] as Metric[])) // a worker that just died
    show(client, users, board, figures)
    await new Promise((resolve) => setTimeout(resolve, POLL_MS))
  }
}

function makeWorker(): Worker {
  const worker = new Worker(new URL('./worker.ts', import.meta.url), { type: 'module', name: 'tabserve' })
  workers.push(worker)
  return worker
}

function control(client: Client, users: Users): void {
  const setUsers = (wanted: number) => {
    users.count = wanted
    status.textContent = wanted === 0 ? 'Nobody asks.' : `${wanted} users ask.`
    stop.disabled = wanted === 0
  }
  byId('settings', HTMLFormElement).addEventListener('submit', (event) => {
    event.preventDefault()
    setUsers(byId('users', HTMLInputElement).valueAsNumber)
  })
  stop.addEventListener('click', () => setUsers(0))
  canary.addEventListener('click', () => void rollOut(client).catch((error: unknown) => alert.show(error)))
  // Without a word, as when the browser kills it. Its requests go on in another.
  kill.addEventListener('click', () => workers.at(servingIndex())?.terminate())
  for (const button of [start, canary, kill]) button.disabled = false
}

/** Workers are named in the order in which they are made: `worker-1` is the first. */
function servingIndex(): number {
  return Number(recorder.lastServing?.replace('worker-', '') ?? 1) - 1
}

/** Moves the alias to the version that it does not stand for. */
async function rollOut(client: Client): Promise<void> {
  const { traffic = {} } = client.aliases().get(ALIAS) ?? {}
  const to = (traffic[FIRST] ?? 0) > 0 ? SECOND : FIRST
  canary.disabled = true
  try {
    const rollout = await client.rollout({ alias: ALIAS, to, ...CANARY, guards: { errorRate: 0.2 } })
    await rollout.finished
  } finally {
    canary.disabled = false
  }
}

function show(client: Client, users: Users, board: Board, figures: EngineFigures): void {
  const { promptTokens, cachedTokens, running, waiting, kvBytes, heapBytes } = figures
  const occupancy = recorder.occupancy()
  facts([
    ['Users', String(users.count)],
    ['Done', String(recorder.numDone)],
    ['Failed', String(recorder.numFailed)],
    ['Tokens', count(recorder.numTokens)],
    ['Tokens/s', recorder.tokenRate().toFixed(0)],
    ['Running', String(running)],
    ['Waiting', String(waiting)],
    ['Batch', occupancy === undefined ? '–' : occupancy.toFixed(1)],
    ['Cache hits', promptTokens === 0 ? '–' : `${Math.round((100 * cachedTokens) / promptTokens)} %`],
    ['KV', bytes(kvBytes)],
    ['Memory', bytes(heapBytes + kvBytes)],
    ['Restarts', String(recorder.numRestarts)],
  ])
  board.add(recorder, figures)
  const { traffic = {} } = client.aliases().get(ALIAS) ?? {}
  showVersions(byId('versions', HTMLElement), client.versionReports(), traffic)
  const trace = recorder.lastTrace()
  if (trace !== undefined) showTrace(byId('trace', HTMLElement), trace)
}

function facts(named: readonly (readonly [string, string])[]): void {
  byId('figures', HTMLDListElement).replaceChildren(
    ...named.map(([name, text]) => {
      const figure = make('div')
      const value = make('dd', { text, testId: `figure-${name.toLowerCase().replace(/\W/, '-')}` })
      figure.append(make('dt', { text: name }), value)
      return figure
    }),
  )
}

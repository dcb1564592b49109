import type { Client, ModelStats } from 'tabserve'
import { createClient } from 'tabserve'
import { Alert } from '../chat/alert.ts'
import { byId, make } from '../chat/element.ts'
import { duration, rate } from '../chat/format.ts'
import type { Outcome } from './crowd.ts'
import { Crowd } from './crowd.ts'

const MODEL = '../models/stories/v2/'
const TOGETHER = 8
const POLL_MS = 200

const alert = new Alert(byId('alert', HTMLElement))
const batching = byId('batching', HTMLInputElement)
const size = byId('size', HTMLInputElement)
const start = byId('start', HTMLButtonElement)
const stop = byId('stop', HTMLButtonElement)
const status = byId('status', HTMLElement)
const figures = byId('figures', HTMLDListElement)
const comparison = byId('comparison', HTMLElement)

/** The last whole run of each mode: its outcome, by the number of streams. */
const outcomes = new Map<boolean, { readonly size: number; readonly outcome: Outcome }>()
let client: Promise<Client> | undefined
let crowd: Crowd | undefined

byId('settings', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  void run()
})
stop.addEventListener('click', () => crowd?.stop())

async function run(): Promise<void> {
  if (crowd !== undefined) return
  const isTogether = batching.checked
  alert.hide()
  setRunning(true)
  status.textContent = 'Loading the model…'
  try {
    client ??= createClient()
    const connected = await client
    const { id } = await connected.load(MODEL, { maxRunning: isTogether ? TOGETHER : 1 })
    const before = await connected.stats(id)
    status.textContent = isTogether ? `Writing, ${TOGETHER} at once…` : 'Writing, one at a time…'
    const running = (crowd = new Crowd(byId('cards', HTMLOListElement), size.valueAsNumber))
    stop.disabled = false
    const endShow = show(running, connected, id, before)
    try {
      const outcome = await running.run(connected, id)
      if (outcome !== undefined) outcomes.set(isTogether, { size: size.valueAsNumber, outcome })
      status.textContent = outcome === undefined ? 'Stopped.' : `All done in ${duration(outcome.ms)}.`
    } finally {
      await endShow()
    }
    compare()
  } catch (error) {
    client = undefined
    status.textContent = ''
    alert.show(error, { label: 'Try again', act: () => void run() })
  } finally {
    crowd = undefined
    setRunning(false)
  }
}

/** Paints text every frame and figures five times a second, until the answer is called: then once more. */
function show(running: Crowd, client: Client, model: string, before: ModelStats): () => Promise<void> {
  const refresh = async () => showFigures(running, await client.stats(model), before)
  let frame = requestAnimationFrame(function paint() {
    running.paint()
    frame = requestAnimationFrame(paint)
  })
  const timer = setInterval(() => void refresh().catch(() => {}), POLL_MS) // a lost worker fails the streams too
  return async () => {
    cancelAnimationFrame(frame)
    clearInterval(timer)
    running.paint()
    await refresh().catch(() => {})
  }
}

function showFigures(running: Crowd, stats: ModelStats, before: ModelStats): void {
  const decodeSteps = stats.steps.decode - before.steps.decode
  const first = running.firstTokenMs
  const facts: readonly (readonly [string, string])[] = [
    ['Speed', rate(running.tokensPerSecond)],
    ['Writing', `${stats.running} of ${stats.rows} rows`],
    ['Waiting', String(stats.waiting)],
    ['Done', String(running.numDone)],
    ['Tokens', String(running.numTokens)],
    ['First token (median)', first.length === 0 ? '–' : duration(first[Math.floor(first.length / 2)] ?? 0)],
    ['Time', duration(running.ms)],
    ['KV in use', `${Math.round(100 * stats.kvUsage)} %`],
    [
      'Tokens a step',
      decodeSteps === 0 ? '–' : ((stats.generatedTokens - before.generatedTokens) / decodeSteps).toFixed(1),
    ],
  ]
  figures.replaceChildren(
    ...facts.flatMap(([name, value]) => [make('dt', { text: name }), make('dd', { text: value })]),
  )
}

function compare(): void {
  const words = (isTogether: boolean) => {
    const found = outcomes.get(isTogether)
    if (found === undefined) return undefined
    const { outcome, size } = found
    const name = isTogether ? `${TOGETHER} at once` : 'One at a time'
    return `${name}: ${rate(speedOf(outcome))}, ${size} stories in ${duration(outcome.ms)}.`
  }
  const [together, apart] = [true, false].map((mode) => outcomes.get(mode))
  // Crowds of different sizes say nothing about each other.
  const ratio =
    together === undefined || apart === undefined || together.size !== apart.size
      ? undefined
      : `Batching is ${(speedOf(together.outcome) / speedOf(apart.outcome)).toFixed(1)}× as fast.`
  comparison.textContent = [words(true), words(false), ratio].filter((part) => part !== undefined).join(' ')
}

/** Tokens a second, from the first request to the last word. */
function speedOf({ numTokens, ms }: Outcome): number {
  return (1000 * numTokens) / ms
}

function setRunning(isRunning: boolean): void {
  for (const control of [batching, size, start]) control.disabled = isRunning
  stop.disabled = true // until there is something to stop
}

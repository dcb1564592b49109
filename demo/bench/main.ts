import { byId } from '../chat/element.ts'
import { runBenchmark } from './benchmark.ts'
import { conditions, markdownOf } from './markdown.ts'
import type { Report, Row } from './report.ts'
import { readReport, rowsAgainst, rowsOf } from './report.ts'
import { saveText } from './save-text.ts'
import { tableOf } from './table-view.ts'

declare global {
  interface Window {
    /** For who drives the page: the last run, and its table. */
    lastRun: { readonly report: Report; readonly markdown: string } | undefined
  }
}

const MOST_THREADS = 4

const query = new URLSearchParams(location.search)
const threads = byId('threads', HTMLInputElement)
const rounds = byId('rounds', HTMLInputElement)
const start = byId('start', HTMLButtonElement)
const status = byId('status', HTMLElement)
const progress = byId('progress', HTMLProgressElement)
const alert = byId('alert', HTMLElement)
const results = byId('results', HTMLElement)
const compare = byId('compare', HTMLInputElement)

// What each of the engines takes by itself: half the cores, at most four.
threads.value = String(
  crossOriginIsolated
    ? Math.max(1, Math.min(MOST_THREADS, Math.floor(navigator.hardwareConcurrency / 2)))
    : 1,
)
threads.disabled = !crossOriginIsolated

byId('settings', HTMLFormElement).addEventListener('submit', (event) => {
  event.preventDefault()
  void run()
})
byId('save', HTMLButtonElement).addEventListener('click', () => {
  if (window.lastRun === undefined) return
  const { report } = window.lastRun
  saveText(`tabserve-peers-${report.date.slice(0, 10)}.json`, JSON.stringify(report, null, 2))
})
byId('copy', HTMLButtonElement).addEventListener('click', () => {
  if (window.lastRun !== undefined) void copy(window.lastRun.markdown)
})
compare.addEventListener('change', () => void compareWith(compare.files?.[0]))

async function run(): Promise<void> {
  alert.hidden = true
  setRunning(true)
  try {
    const report = await runBenchmark({
      models: new URL(query.get('models') ?? '../bench-models/', location.href).href,
      threads: threads.valueAsNumber,
      rounds: rounds.valueAsNumber,
      repeats: Number(query.get('repeats') ?? 3),
      isShort: query.has('short'),
      onProgress(what, done) {
        status.textContent = what
        progress.value = done
      },
    })
    window.lastRun = { report, markdown: markdownOf(report, rowsOf(report)) }
    show(report, rowsOf(report), 'How many times as good tabserve is stands behind each figure.')
  } catch (error) {
    status.textContent = ''
    complain(error)
  } finally {
    setRunning(false)
  }
}

/** A saved run is compared with the one on the page; where there is none, it is shown. */
async function compareWith(file: File | undefined): Promise<void> {
  if (file === undefined) return
  alert.hidden = true
  try {
    const saved = readReport(await file.text())
    if (window.lastRun === undefined) {
      window.lastRun = { report: saved, markdown: markdownOf(saved, rowsOf(saved)) }
      show(saved, rowsOf(saved), 'A saved run. How many times as good tabserve is stands behind each figure.')
    } else {
      const { report } = window.lastRun
      const said = `How many times as good as in the saved run stands behind each figure. That one: ${conditions(saved)}.`
      show(report, rowsAgainst(report, saved), said)
    }
  } catch (error) {
    complain(error)
  } finally {
    compare.value = '' // the same file can be chosen again
  }
}

function show(report: Report, rows: readonly Row[], said: string): void {
  byId('table', HTMLElement).replaceChildren(tableOf(report, rows))
  byId('said', HTMLElement).textContent = said
  byId('conditions', HTMLElement).textContent = `${conditions(report)}.`
  results.hidden = false
}

async function copy(markdown: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(markdown)
    status.textContent = 'Copied.'
  } catch (error) {
    complain(error)
  }
}

function complain(error: unknown): void {
  alert.textContent = error instanceof Error ? error.message : String(error)
  alert.hidden = false
}

function setRunning(isRunning: boolean): void {
  for (const control of [rounds, start, compare]) control.disabled = isRunning
  threads.disabled = isRunning || !crossOriginIsolated
  progress.hidden = !isRunning
}

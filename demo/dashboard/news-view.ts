import type { TelemetryEvent } from 'tabserve'
import { make } from '../chat/element.ts'
import { bytes, duration } from '../chat/format.ts'

const MOST_LINES = 12

/** What is rare: workers, models, rollouts, as lines, the newest on top. */
export class NewsView {
  readonly #list: HTMLElement

  constructor(list: HTMLElement) {
    this.#list = list
  }

  show(event: TelemetryEvent): void {
    const text = sentenceOf(event)
    if (text === undefined) return
    const line = make('li')
    const time = new Date(event.timeMs).toLocaleTimeString('en', { hour12: false })
    line.append(make('time', { text: time }), make('span', { text }))
    line.dataset['type'] = event.type
    this.#list.prepend(line)
    while (this.#list.childElementCount > MOST_LINES) this.#list.lastElementChild?.remove()
  }
}

function sentenceOf(event: TelemetryEvent): string | undefined {
  switch (event.type) {
    case 'worker-up':
      return `${event.worker} is up, ${event.threads} ${event.threads === 1 ? 'thread' : 'threads'}.`
    case 'worker-down':
      return `${event.worker} is gone.`
    case 'worker-restart':
      return `Another worker takes its place (number ${event.restarts}).`
    case 'model-ready': {
      const { networkBytes, storedBytes, createMs, warmupMs } = event.load
      const from = `${bytes(networkBytes)} from the network, ${bytes(storedBytes)} from the store`
      return `${event.model} is ready on ${event.runner}: ${from}, ${duration(createMs + warmupMs)}.`
    }
    case 'model-unload':
      return `${event.model} is unloaded.`
    case 'model-failed':
      return `A load failed: ${event.error}.`
    case 'device-lost':
      return `The GPU was lost; back after ${duration(event.recoveryMs)}.`
    case 'rollout':
      return `Rollout ${event.from} → ${event.to}: ${event.phase}, ${event.weight} %${event.reason === undefined ? '' : `: ${event.reason.replace(/\.$/, '')}`}.`
    case 'fallback':
      return `A server answers in place of ${event.alias}: ${event.reason}.`
    default:
      return undefined
  }
}

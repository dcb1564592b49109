import type { LoadProgress } from 'tabserve'
import { byId } from './element.ts'
import { bytes } from './format.ts'
import { Frame } from './frame.ts'

/** The progress bar and its line: bytes and source while files come and are checked, then the phase by name. */
export class ProgressView {
  readonly #box = byId('load-progress', HTMLElement)
  readonly #bar = byId('progress', HTMLProgressElement)
  readonly #text = byId('progress-text', HTMLElement)
  readonly #frame = new Frame(() => this.#paint())
  #line = ''
  /** From 0 to 1, or `undefined` while nobody knows. */
  #value: number | undefined
  #bytes = ''

  begin(): void {
    this.#line = 'Starting…'
    this.#bytes = ''
    this.#value = undefined
    this.#paint()
    this.#box.hidden = false
  }

  take(progress: LoadProgress): void {
    switch (progress.phase) {
      case 'fetch':
        this.#line = this.#bytes = bytesLine(progress)
        this.#value = progress.loadedBytes / progress.totalBytes
        break
      case 'waiting':
        this.#line = `Another page downloads ${progress.file}`
        break
      case 'verify':
        this.#line = `${this.#bytes}, checking ${progress.file}`
        break
      case 'convert':
        this.#line = `${bytes(progress.loadedBytes)} of ${bytes(progress.totalBytes)} converted`
        this.#value = progress.loadedBytes / progress.totalBytes
        break
      case 'create':
        this.#line = 'Creating the session'
        this.#value = undefined
        break
      case 'warm-up':
        this.#line = 'Warming up'
    }
    this.#frame.request()
  }

  end(): void {
    this.#box.hidden = true
  }

  #paint(): void {
    this.#text.textContent = this.#line
    if (this.#value === undefined) this.#bar.removeAttribute('value')
    else this.#bar.value = this.#value
  }
}

const PLACES = { network: 'the network', store: 'IndexedDB', local: 'your files' } as const

function bytesLine({ loadedBytes, totalBytes, source }: Extract<LoadProgress, { phase: 'fetch' }>): string {
  return `${bytes(loadedBytes)} of ${bytes(totalBytes)} from ${PLACES[source]}`
}

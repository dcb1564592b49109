import type { Client, Generation, ModelInfo } from 'tabserve'
import type { Alert } from '../chat/alert.ts'
import { byId, make } from '../chat/element.ts'
import { bytes, rate } from '../chat/format.ts'
import { saveStory, savedStories } from './shelf.ts'
import { whileWriting } from './streaming-lock.ts'

const MAX_TOKENS = 400
/** A story that is being written is saved so often: a tab may be closed at any time. */
const SAVE_MS = 500

export interface WriterHandlers {
  readonly alert: Alert
  /** Something was downloaded. */
  readonly onStored: () => void
}

/** Goes on with openings, and keeps what comes of them. */
export class Writer {
  readonly #client: Promise<Client>
  readonly #url: string
  readonly #handlers: WriterHandlers
  readonly #status = byId('status', HTMLElement)
  readonly #stories = byId('stories', HTMLOListElement)
  readonly #start = byId('start', HTMLButtonElement)
  readonly #stop = byId('stop', HTMLButtonElement)
  #model: Promise<ModelInfo> | undefined
  #running: Generation | undefined

  constructor(client: Promise<Client>, url: string, handlers: WriterHandlers) {
    this.#client = client
    this.#url = url
    this.#handlers = handlers
    this.#stories.append(...savedStories().map(({ opening, text }) => make('li', { text: opening + text })))
    byId('write', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#write(byId('opening', HTMLInputElement).value)
    })
    this.#stop.addEventListener('click', () => this.#running?.cancel())
  }

  /** Brings the model, from the network the first time and from the store ever after. */
  async load(): Promise<void> {
    try {
      const { id, load } = await this.#bring()
      const from = load.networkBytes > 0 ? 'kept on this device' : 'from this device, without a request'
      this.#status.textContent = `${id} is ready: ${bytes(load.networkBytes + load.storedBytes)} ${from}.`
      this.#handlers.onStored()
    } catch (error) {
      this.#fail(error)
    }
  }

  async #write(opening: string): Promise<void> {
    this.#handlers.alert.hide()
    this.#setRunning(true)
    const item = make('li', { text: opening, testId: 'story' })
    item.setAttribute('aria-busy', 'true')
    this.#stories.prepend(item)
    try {
      const [client, { id }] = await Promise.all([this.#client, this.#bring()])
      await whileWriting(() => this.#stream(client, id, opening, item))
    } catch (error) {
      this.#fail(error)
    } finally {
      this.#running = undefined
      item.removeAttribute('aria-busy')
      this.#setRunning(false)
    }
  }

  async #stream(client: Client, model: string, opening: string, item: HTMLElement): Promise<void> {
    this.#status.textContent = 'Writing…'
    const running = (this.#running = client.generate({
      model,
      prompt: opening,
      maxTokens: MAX_TOKENS,
      temperature: 0,
      repetitionPenalty: 1.1,
    }))
    let text = ''
    let savedAt = performance.now()
    saveStory({ opening, text }, false)
    for await (const delta of running) {
      text += delta.text
      item.append(delta.text)
      if (performance.now() - savedAt < SAVE_MS) continue
      saveStory({ opening, text }, true)
      savedAt = performance.now()
    }
    saveStory({ opening, text }, true)
    const { usage, timing } = await running
    const perSecond = (1000 * usage.completionTokens) / timing.totalMs
    this.#status.textContent = `${usage.completionTokens} tokens at ${rate(perSecond)}.`
  }

  #bring(): Promise<ModelInfo> {
    this.#model ??= this.#client.then((client) =>
      client.load(this.#url, {
        onProgress: (progress) => {
          if (progress.phase !== 'fetch') return
          const { loadedBytes, totalBytes } = progress
          this.#status.textContent = `Bringing the model: ${bytes(loadedBytes)} of ${bytes(totalBytes)}`
        },
      }),
    )
    this.#model.catch(() => (this.#model = undefined)) // the next one tries again
    return this.#model
  }

  #fail(error: unknown): void {
    this.#status.textContent = ''
    this.#handlers.alert.show(error, { label: 'Try again', act: () => void this.load() })
  }

  #setRunning(isRunning: boolean): void {
    this.#start.disabled = isRunning
    this.#stop.disabled = !isRunning
  }
}

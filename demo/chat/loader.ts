import type { ModelInfo } from 'tabserve'
import { EngineError } from 'tabserve'
import { byId, make } from './element.ts'
import type { Engine } from './engine.ts'
import { showFacts } from './facts.ts'
import { MODELS } from './models.ts'
import { ProgressView } from './progress-view.ts'

const OTHER = 'other'

export interface LoaderHandlers {
  /** Called before the old model goes; what is running must have ended when it resolves. */
  readonly before: () => Promise<void>
  /** The model that is there now, or `undefined` while there is none. */
  readonly change: (model: ModelInfo | undefined) => void
  readonly say: (status: string) => void
  readonly fail: (error: unknown) => void
}

/** The model panel: which folder, how far it is, and what came of it. */
export class Loader {
  readonly #engine: Engine
  readonly #handlers: LoaderHandlers
  readonly #panel = byId('model-panel', HTMLDetailsElement)
  readonly #select = byId('model', HTMLSelectElement)
  readonly #url = byId('model-url', HTMLInputElement)
  readonly #load = byId('load', HTMLButtonElement)
  readonly #cancel = byId('cancel-load', HTMLButtonElement)
  readonly #progress = new ProgressView()
  readonly #facts = byId('facts', HTMLDListElement)
  readonly #note = byId('model-note', HTMLElement)
  #loading: AbortController | undefined
  #lastFolder: string | undefined

  constructor(engine: Engine, handlers: LoaderHandlers) {
    this.#engine = engine
    this.#handlers = handlers
    this.#select.append(...MODELS.map(modelOption), option(OTHER, 'Another model folder…'))
    this.#select.addEventListener('change', () => this.#showUrl())
    this.#showUrl() // a reload may have kept the choice
    byId('load-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault()
      void this.#begin(this.#folder())
    })
    this.#cancel.addEventListener('click', () => this.#loading?.abort())
  }

  /** Loads what was loaded last, after the engine was lost. */
  reload(): void {
    void this.#begin(this.#lastFolder ?? this.#folder())
  }

  async #begin(folder: string): Promise<void> {
    if (this.#loading !== undefined) return
    const { before, change, say, fail } = this.#handlers
    const loading = (this.#loading = new AbortController())
    this.#lastFolder = folder
    this.#show('loading…')
    try {
      await before()
      change(undefined)
      const model = await this.#engine.load(folder, {
        signal: loading.signal,
        onProgress: (progress) => this.#progress.take(progress),
      })
      this.#loading = undefined
      this.#show(model.id)
      showFacts(this.#facts, model)
      if (matchMedia('(max-width: 55rem)').matches) this.#panel.open = false
      change(model)
      say(`${model.id} is ready.`)
    } catch (error) {
      this.#loading = undefined
      this.#show('none loaded')
      if (error instanceof EngineError && error.code === 'aborted') say('Loading was cancelled.')
      else fail(error)
    }
  }

  /** Shows the panel as it is while loading, or as it is while not. */
  #show(note: string): void {
    const loading = this.#loading !== undefined
    const hadFocus = document.activeElement === this.#load || document.activeElement === this.#cancel
    this.#note.textContent = note
    this.#load.hidden = loading
    this.#cancel.hidden = !loading
    this.#select.disabled = this.#url.disabled = loading
    this.#facts.hidden = true
    if (loading) this.#progress.begin()
    else this.#progress.end()
    if (hadFocus) (loading ? this.#cancel : this.#load).focus() // the button that had it is gone
  }

  #folder(): string {
    return this.#select.value === OTHER ? this.#url.value.trim() : this.#select.value
  }

  #showUrl(): void {
    const other = this.#select.value === OTHER
    byId('model-url-field', HTMLElement).hidden = !other
    this.#url.required = other
  }
}

function modelOption({ name, version, note, folder }: (typeof MODELS)[number]): HTMLOptionElement {
  return option(folder, `${name} ${version} (${note})`)
}

function option(value: string, text: string): HTMLOptionElement {
  const element = make('option', { text })
  element.value = value
  return element
}

import type { ConvertOptions, LoadProgress, ModelInfo } from 'tabserve'
import { EngineError } from 'tabserve'
import type { OwnFiles } from './drop-zone.ts'
import { DropZone } from './drop-zone.ts'
import { byId, make } from './element.ts'
import type { Engine } from './engine.ts'
import { showFacts } from './facts.ts'
import { MODELS } from './models.ts'
import { forgetOwn, ownModels, rememberOwn } from './own-models.ts'
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

/** The model panel: which folder or files, how far it is, and what came of it. */
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
  readonly #own: DropZone
  #loading: AbortController | undefined
  #lastFolder: string | undefined

  constructor(engine: Engine, handlers: LoaderHandlers) {
    this.#engine = engine
    this.#handlers = handlers
    this.#own = new DropZone((own) => void this.#begin(own), handlers.fail)
    this.#offer()
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

  /** The store was emptied: what this browser has made is gone. */
  forgetOwn(): void {
    for (const { url } of ownModels()) forgetOwn(url)
    this.#offer()
  }

  async #begin(wanted: string | OwnFiles): Promise<void> {
    if (this.#loading !== undefined) return
    const { before, change, say, fail } = this.#handlers
    const loading = (this.#loading = new AbortController())
    this.#show('loading…')
    try {
      await before()
      change(undefined)
      const model = await this.#bring(wanted, {
        signal: loading.signal,
        onProgress: (progress) => this.#progress.take(progress),
      })
      this.#loading = undefined
      this.#lastFolder = model.url
      this.#offer()
      this.#show(model.id)
      showFacts(this.#facts, model)
      if (matchMedia('(max-width: 55rem)').matches) this.#panel.open = false
      change(model)
      say(`${model.id} is ready.`)
    } catch (error) {
      this.#loading = undefined
      if (typeof wanted === 'string' && isCode(error, 'model_not_found')) forgetOwn(wanted)
      this.#offer()
      this.#show('none loaded')
      if (isCode(error, 'aborted')) say('Loading was cancelled.')
      else fail(error)
    }
  }

  /** A folder is loaded, and so is one that the reader has; other files are made a model first. */
  async #bring(wanted: string | OwnFiles, options: Running): Promise<ModelInfo> {
    if (typeof wanted === 'string') {
      this.#lastFolder = wanted
      return this.#engine.load(wanted, options)
    }
    const { files, folder } = wanted
    const isModel = files.some(({ name }) => name === 'manifest.json')
    if (!isModel) this.#handlers.say('Converting…')
    const source = isModel
      ? files
      : await this.#engine.convert(files, {
          ...options,
          weights: byId('weights', HTMLSelectElement).value as NonNullable<ConvertOptions['weights']>, // as the page lists them
          ...(folder === undefined ? {} : { name: folder.replaceAll(/[^\w.-]+/g, '-') }),
        })
    const model = await this.#engine.load(source, options)
    rememberOwn(model)
    return model
  }

  /** Fills the list, with what this browser has made, and keeps the choice; a model that was just loaded is chosen. */
  #offer(): void {
    const chosen = this.#engine.model?.url.startsWith('picked:') ? this.#engine.model.url : this.#select.value
    this.#select.replaceChildren(
      ...MODELS.map(modelOption),
      ...ownModels().map(({ id, url }) => option(url, `Yours: ${id}`)),
      option(OTHER, 'Another model folder…'),
    )
    this.#select.value = chosen
    if (this.#select.selectedIndex < 0) this.#select.selectedIndex = 0
  }

  /** Shows the panel as it is while loading, or as it is while not. */
  #show(note: string): void {
    const loading = this.#loading !== undefined
    const focused = document.activeElement
    const hadFocus = focused === this.#load || focused === this.#cancel || this.#own.contains(focused)
    this.#note.textContent = note
    this.#load.hidden = loading
    this.#cancel.hidden = !loading
    this.#select.disabled = this.#url.disabled = this.#own.disabled = loading
    this.#facts.hidden = true
    if (loading) this.#progress.begin()
    else this.#progress.end()
    if (hadFocus) (loading ? this.#cancel : this.#load).focus() // the button that had it is gone, or off
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

interface Running {
  readonly signal: AbortSignal
  readonly onProgress: (progress: LoadProgress) => void
}

function isCode(error: unknown, code: EngineError['code']): boolean {
  return error instanceof EngineError && error.code === code
}

function modelOption({ name, version, note, folder }: (typeof MODELS)[number]): HTMLOptionElement {
  return option(folder, `${name} ${version} (${note})`)
}

function option(value: string, text: string): HTMLOptionElement {
  const element = make('option', { text })
  element.value = value
  return element
}

import { byId } from './element.ts'
import { droppedFiles } from './dropped-files.ts'

/** What the reader brings: files, or those of a folder, which gives them its name. */
export interface OwnFiles {
  readonly files: readonly File[]
  readonly folder?: string
}

/** Takes the reader's own files: dropped anywhere on the page, for beside the zone the browser would leave for them, or picked. */
export class DropZone {
  readonly #zone = byId('drop', HTMLElement)
  readonly #bring: (own: OwnFiles) => void
  readonly #fail: (error: unknown) => void
  /** Elements that the drag is over: entering a child comes before leaving its parent. */
  #depth = 0
  #disabled = false

  constructor(bring: (own: OwnFiles) => void, fail: (error: unknown) => void) {
    this.#bring = bring
    this.#fail = fail
    this.#picker('pick-file', 'own-file')
    this.#picker('pick-folder', 'own-folder')
    document.addEventListener('dragenter', () => this.#hover(this.#depth + 1))
    document.addEventListener('dragleave', () => this.#hover(this.#depth - 1))
    document.addEventListener('dragover', (event) => event.preventDefault())
    document.addEventListener('drop', (event) => {
      event.preventDefault()
      this.#hover(0)
      void this.#drop(event.dataTransfer)
    })
  }

  set disabled(disabled: boolean) {
    this.#disabled = disabled
    for (const field of this.#zone.querySelectorAll<HTMLButtonElement | HTMLSelectElement>('button, select'))
      field.disabled = disabled
  }

  contains(element: Element | null): boolean {
    return this.#zone.contains(element)
  }

  /** The button is what people see and tab to; the input is how browsers ask. */
  #picker(buttonId: string, inputId: string): void {
    const input = byId(inputId, HTMLInputElement)
    byId(buttonId, HTMLButtonElement).addEventListener('click', () => input.click())
    input.addEventListener('change', () => {
      const files = [...(input.files ?? [])]
      input.value = '' // the same files may be picked again
      if (files.length > 0) this.#bring({ files })
    })
  }

  async #drop(transfer: DataTransfer | null): Promise<void> {
    if (transfer === null || this.#disabled) return
    try {
      const own = await droppedFiles(transfer)
      if (own.files.length > 0) this.#bring(own)
    } catch (error) {
      this.#fail(error)
    }
  }

  #hover(depth: number): void {
    this.#depth = Math.max(0, depth)
    this.#zone.classList.toggle('over', this.#depth > 0 && !this.#disabled)
  }
}

import { EngineError } from 'tabserve'
import { make } from './element.ts'

/** What the reader can do about an error, as a button. */
export interface Remedy {
  readonly label: string
  readonly act: () => void
}

/** The one place where errors are shown: code, message, and a way out where there is one. */
export class Alert {
  readonly #box: HTMLElement

  constructor(box: HTMLElement) {
    this.#box = box
  }

  show(error: unknown, remedy?: Remedy): void {
    const { code, message } = words(error)
    const text = make('p')
    text.append(
      make('code', { text: code, testId: 'alert-code' }),
      ' ',
      make('span', { text: message, testId: 'alert-message' }),
    )
    const buttons = make('div', { className: 'actions' })
    if (remedy !== undefined) buttons.append(this.#button(remedy.label, 'alert-action', remedy.act))
    buttons.append(this.#button('Dismiss', 'alert-dismiss', () => {}))
    this.#box.replaceChildren(text, buttons)
    this.#box.hidden = false
  }

  hide(): void {
    this.#box.hidden = true
    this.#box.replaceChildren()
  }

  #button(label: string, testId: string, act: () => void): HTMLButtonElement {
    const button = make('button', { text: label, className: 'quiet', testId })
    button.type = 'button'
    button.addEventListener('click', () => {
      this.hide()
      act()
    })
    return button
  }
}

function words(error: unknown): { code: string; message: string } {
  if (error instanceof EngineError) {
    const { code, message, file } = error
    return { code, message: file === undefined || message.includes(file) ? message : `${message} (${file})` }
  }
  return { code: 'unexpected', message: error instanceof Error ? error.message : String(error) }
}

import type { Mode } from './conversation.ts'

export interface ComposerParts {
  readonly form: HTMLFormElement
  readonly text: HTMLTextAreaElement
  /** Around the text; the style sheet sets its `data-text` below the field, which so grows with its lines without being measured. */
  readonly mirror: HTMLElement
  readonly send: HTMLButtonElement
  readonly stop: HTMLButtonElement
  readonly modes: HTMLFieldSetElement
}

/** Where the reader writes. Enter sends, Shift+Enter is a new line; one can write on while an answer comes. */
export class Composer {
  readonly #parts: ComposerParts
  #ready = false
  #answering = false

  constructor(
    parts: ComposerParts,
    handlers: { send: (text: string) => void; stop: () => void; modeChange: () => void },
  ) {
    this.#parts = parts
    const { form, text, stop, modes } = parts
    form.addEventListener('submit', (event) => {
      event.preventDefault()
      if (this.#canSend()) handlers.send(text.value)
    })
    text.addEventListener('keydown', (event) => {
      if (event.key !== 'Enter' || event.shiftKey || event.isComposing) return
      event.preventDefault()
      form.requestSubmit()
    })
    text.addEventListener('input', () => this.#update())
    stop.addEventListener('click', handlers.stop)
    modes.addEventListener('change', () => {
      this.#update()
      handlers.modeChange()
    })
    this.#update()
  }

  get mode(): Mode {
    return new FormData(this.#parts.form).get('mode') === 'chat' ? 'chat' : 'continue'
  }

  /** Says whether a model is there, and which modes it has. One with a chat template begins in chat. */
  offer(model: { readonly hasChatTemplate: boolean } | undefined): void {
    const { form, modes } = this.#parts
    this.#ready = model !== undefined
    if (model !== undefined) {
      modes.hidden = !model.hasChatTemplate
      const mode: Mode = model.hasChatTemplate ? 'chat' : 'continue'
      for (const radio of form.querySelectorAll<HTMLInputElement>('[name=mode]'))
        radio.checked = radio.value === mode
    }
    this.#update()
  }

  set answering(answering: boolean) {
    const { text, send, stop } = this.#parts
    const hadFocus = document.activeElement === send || document.activeElement === stop
    this.#answering = answering
    this.#update()
    if (hadFocus) text.focus() // the button that had it is gone
  }

  set text(text: string) {
    this.#parts.text.value = text
    this.#update()
  }

  get text(): string {
    return this.#parts.text.value
  }

  focus(): void {
    this.#parts.text.focus()
  }

  #canSend(): boolean {
    return this.#ready && !this.#answering && this.#parts.text.value.trim() !== ''
  }

  #update(): void {
    const { text, mirror, send, stop } = this.#parts
    send.hidden = this.#answering
    stop.hidden = !this.#answering
    send.disabled = !this.#canSend()
    text.placeholder = this.mode === 'chat' ? 'Ask for something…' : 'Begin a text…'
    mirror.dataset['text'] = text.value
  }
}

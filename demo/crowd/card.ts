import { rate } from '../chat/format.ts'
import { make } from '../chat/element.ts'

export type CardState = 'waiting' | 'writing' | 'done' | 'stopped' | 'failed'

/** One stream on the page. What comes in between two frames is painted once. */
export class Card {
  readonly element = make('li', { className: 'card', testId: 'card' })
  readonly #text = make('p')
  readonly #note = make('p', { className: 'note' })
  readonly #startedMs = performance.now()
  #firstMs: number | undefined
  #numTokens = 0
  #unpainted = ''

  constructor(opening: string) {
    this.#text.append(make('span', { text: opening, className: 'opening' }))
    const story = make('div', { className: 'story' })
    story.append(this.#text)
    this.element.append(story, this.#note)
    this.state = 'waiting'
  }

  /** Milliseconds from the start to the first token; `undefined` before it. */
  get firstTokenMs(): number | undefined {
    return this.#firstMs === undefined ? undefined : this.#firstMs - this.#startedMs
  }

  set state(state: CardState) {
    this.element.dataset['state'] = state
    this.#note.textContent = state
  }

  take(text: string, numTokens: number): void {
    if (this.#firstMs === undefined) {
      this.#firstMs = performance.now()
      this.state = 'writing'
    }
    this.#unpainted += text
    this.#numTokens += numTokens
  }

  end(state: CardState): void {
    this.paint()
    this.state = state
    if (this.#firstMs === undefined || this.#numTokens < 2) return
    const perSecond = (1000 * (this.#numTokens - 1)) / (performance.now() - this.#firstMs)
    this.#note.textContent = `${state}, ${rate(perSecond)}`
  }

  paint(): void {
    if (this.#unpainted === '') return
    this.#text.append(this.#unpainted)
    this.#unpainted = ''
  }
}

import type { Mode } from './conversation.ts'
import { make } from './element.ts'
import { Frame } from './frame.ts'

/** Distance from the end, in pixels, at which a reader still counts as being there. */
const AT_END = 32

/** The conversation as the reader sees it. Follows the text as it grows, unless the reader has scrolled away from its end. */
export class Transcript {
  readonly #scroller: HTMLElement
  readonly #list: HTMLElement
  readonly #empty: HTMLElement
  #following = true
  #seen = { scrollTop: 0, scrollHeight: 0, clientHeight: 0 }

  constructor(scroller: HTMLElement, list: HTMLElement, empty: HTMLElement) {
    this.#scroller = scroller
    this.#list = list
    this.#empty = empty
    scroller.addEventListener('scroll', () => this.#look(), { passive: true })
    new ResizeObserver(() => this.#follow()).observe(scroller)
  }

  /** Starts a turn at the end, and scrolls there: the reader has just written something. */
  begin(mode: Mode, text: string): Turn {
    const turn = new Turn(mode, text, () => this.#follow())
    this.#empty.hidden = true
    this.#list.append(turn.element)
    this.#following = true
    this.#follow()
    return turn
  }

  remove(turn: Turn): void {
    turn.element.remove()
    this.#empty.hidden = this.#list.childElementCount > 0
  }

  clear(): void {
    this.#list.replaceChildren()
    this.#empty.hidden = false
  }

  /** Takes a scroll event as the reader's will only if nothing else has changed: boxes that grow and shrink move the text too. */
  #look(): void {
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller
    const sameBoxes = scrollHeight === this.#seen.scrollHeight && clientHeight === this.#seen.clientHeight
    if (scrollHeight - scrollTop - clientHeight < AT_END) this.#following = true
    else if (sameBoxes && scrollTop < this.#seen.scrollTop) this.#following = false
    this.#seen = { scrollTop, scrollHeight, clientHeight }
  }

  #follow(): void {
    if (!this.#following || !this.#empty.hidden) return
    this.#scroller.scrollTop = this.#scroller.scrollHeight
    const { scrollTop, scrollHeight, clientHeight } = this.#scroller
    this.#seen = { scrollTop, scrollHeight, clientHeight }
  }
}

/** One question and the answer that grows under it; in continue mode, one passage that grows. */
export class Turn {
  readonly element: HTMLElement
  readonly #answer = make('p', { className: 'answer', testId: 'answer' })
  readonly #text = document.createTextNode('')
  readonly #facts = make('p', { className: 'turn-facts', testId: 'turn-facts' })
  readonly #grown: () => void
  readonly #frame = new Frame(() => this.#paint())
  #waiting = ''
  #caption: readonly Caption[] = []

  constructor(mode: Mode, text: string, grown: () => void) {
    this.#grown = grown
    this.element = make('li', { className: `turn ${mode}`, testId: 'turn' })
    this.element.setAttribute('aria-busy', 'true')
    const question = make(mode === 'chat' ? 'h2' : 'span', {
      text,
      className: 'question',
      testId: 'question',
    })
    if (mode === 'chat') this.element.append(question)
    else this.#answer.append(question)
    this.#answer.append(this.#text)
    this.element.append(this.#answer, this.#facts)
  }

  /** Adds text and renews the caption, both with the next frame. */
  grow(text: string, caption: readonly Caption[]): void {
    this.#waiting += text
    this.#caption = caption
    this.#frame.request()
  }

  /** Shows everything that is waiting and the last caption. The turn does not change any more. */
  end(caption: readonly Caption[]): void {
    this.grow('', caption)
    this.#frame.flush()
    this.element.removeAttribute('aria-busy')
  }

  #paint(): void {
    this.#text.appendData(this.#waiting)
    this.#waiting = ''
    this.#facts.replaceChildren(...this.#caption.map(({ text, testId }) => make('span', { text, testId })))
    this.#grown()
  }
}

/** One fact about an answer, and its name for tests. */
export interface Caption {
  readonly text: string
  readonly testId: string
}

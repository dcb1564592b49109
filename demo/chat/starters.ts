import type { ModelInfo } from 'tabserve'
import type { Mode } from './conversation.ts'
import { byId, make } from './element.ts'

/** What an empty page says, and texts that one click sends. */
interface Beginning {
  readonly title: string
  readonly text: string
  readonly starters: readonly string[]
}

const NO_MODEL: Beginning = {
  title: 'Nothing leaves this tab.',
  text: 'Load a model: it is downloaded once, kept by the browser, and computes here. Then write.',
  starters: [],
}

const STORIES: Readonly<Record<Mode, Beginning>> = {
  chat: {
    title: 'Ask for a story.',
    text: 'The model is very small and knows nothing but stories for children.',
    starters: [
      'Tell me a story about a brave little cat.',
      'Write a story about Tom and his red ball.',
      'A story about the moon, please.',
    ],
  },
  continue: {
    title: 'Begin a story.',
    text: 'The model goes on where you stop writing.',
    starters: [
      'Once upon a time, there was a little dragon who',
      'Lily found a box in the garden. Inside it',
      'One day, Ben wanted to fly. He asked the bird',
    ],
  },
}

const ANY_MODEL: Readonly<Record<Mode, Beginning>> = {
  chat: {
    title: 'Ask for something.',
    text: 'The model answers, and remembers the conversation.',
    starters: [],
  },
  continue: { title: 'Begin a text.', text: 'The model goes on where you stop writing.', starters: [] },
}

/** Fills the empty page: what to do now. */
export function showBeginning(model: ModelInfo | undefined, mode: Mode, send: (text: string) => void): void {
  const { title, text, starters } = beginning(model, mode)
  byId('empty-title', HTMLElement).textContent = title
  byId('empty-text', HTMLElement).textContent = text
  const list = byId('starters', HTMLUListElement)
  list.hidden = starters.length === 0
  list.replaceChildren(...starters.map((starter) => starterItem(starter, send)))
}

function beginning(model: ModelInfo | undefined, mode: Mode): Beginning {
  if (model === undefined) return NO_MODEL
  return (model.manifest.name === 'stories' ? STORIES : ANY_MODEL)[mode]
}

function starterItem(starter: string, send: (text: string) => void): HTMLElement {
  const item = make('li')
  const button = make('button', { text: starter, className: 'starter', testId: 'starter' })
  button.type = 'button'
  button.addEventListener('click', () => send(starter))
  item.append(button)
  return item
}

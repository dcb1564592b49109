import { createClient, EngineError } from 'tabserve'
import { Alert } from './alert.ts'
import type { Remedy } from './alert.ts'
import { Chat } from './chat.ts'
import { Composer } from './composer.ts'
import { readSampling } from './controls.ts'
import { Conversation } from './conversation.ts'
import { byId } from './element.ts'
import { Engine } from './engine.ts'
import { Loader } from './loader.ts'
import { showBeginning } from './starters.ts'
import { Transcript } from './transcript.ts'

// Puts the parts together; each knows only what it is given here.

const engine = new Engine(() => createClient())
const alert = new Alert(byId('alert', HTMLElement))
const cacheReport = byId('cache-report', HTMLElement)
const status = byId('status', HTMLElement)
const say = (text: string) => void (status.textContent = text)

const transcript = new Transcript(
  byId('transcript', HTMLElement),
  byId('turns', HTMLElement),
  byId('empty', HTMLElement),
)

const chat = new Chat(engine, new Conversation(), transcript, {
  say,
  answering: (answering) => (composer.answering = answering),
  fail: (error, text) => {
    if (text !== undefined && composer.text === '') composer.text = text
    fail(error)
  },
})

const composer = new Composer(
  {
    form: byId('composer', HTMLFormElement),
    text: byId('prompt', HTMLTextAreaElement),
    mirror: byId('mirror', HTMLElement),
    send: byId('send', HTMLButtonElement),
    stop: byId('stop', HTMLButtonElement),
    modes: byId('modes', HTMLFieldSetElement),
  },
  { send, stop: () => void chat.stop(), modeChange: showEmptyPage },
)

const loader = new Loader(engine, {
  before: () => {
    alert.hide()
    cacheReport.textContent = ''
    say('Loading…')
    return chat.stop()
  },
  change: (model) => {
    composer.offer(model)
    showEmptyPage()
    if (model !== undefined) composer.focus()
  },
  say,
  fail,
})

function send(text: string): void {
  const sampling = readSampling(byId('sampling', HTMLFormElement), byId('settings', HTMLDetailsElement))
  if (sampling === undefined || chat.answering) return
  alert.hide()
  composer.text = ''
  chat.ask(composer.mode, text, sampling)
  composer.focus()
}

function fail(error: unknown): void {
  say('')
  alert.show(error, remedyFor(error))
}

function remedyFor(error: unknown): Remedy | undefined {
  if (!(error instanceof EngineError)) return undefined
  if (error.code === 'engine_lost') return { label: 'Reload engine', act: () => loader.reload() }
  if (error.code === 'context_overflow') return { label: 'New conversation', act: () => void startAnew() }
  return undefined
}

async function startAnew(): Promise<void> {
  await chat.startAnew()
  alert.hide()
  say('')
  composer.focus()
}

async function clearCache(): Promise<void> {
  try {
    await engine.clearCache()
    loader.forgetOwn()
    const held =
      engine.model === undefined ? '' : `${engine.model.id} stays loaded until the page is closed. `
    cacheReport.textContent = `The stored weights of all models are deleted. ${held}The next load comes from the network.`
  } catch (error) {
    cacheReport.textContent = ''
    fail(error)
  }
}

function showEmptyPage(): void {
  showBeginning(engine.model, composer.mode, send)
}

byId('clear-cache', HTMLButtonElement).addEventListener('click', () => void clearCache())
byId('new-conversation', HTMLButtonElement).addEventListener('click', () => void startAnew())
document.addEventListener('keydown', ({ key }) => {
  if (key === 'Escape') void chat.stop()
})
showEmptyPage()

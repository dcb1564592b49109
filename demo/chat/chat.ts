import type { GenerationResult, SamplingParams } from 'tabserve'
import type { Conversation, Mode } from './conversation.ts'
import type { Engine } from './engine.ts'
import { duration, rate } from './format.ts'
import { Speed } from './speed.ts'
import type { Caption, Transcript, Turn } from './transcript.ts'

export interface ChatHandlers {
  readonly answering: (answering: boolean) => void
  readonly say: (status: string) => void
  /** `text` is what was asked, where nothing of an answer came: it goes back to its writer. */
  readonly fail: (error: unknown, text: string | undefined) => void
}

/** Asks the model, one question at a time, and shows the answer as it comes. */
export class Chat {
  readonly #engine: Engine
  readonly #conversation: Conversation
  readonly #transcript: Transcript
  readonly #handlers: ChatHandlers
  #running: { readonly abort: AbortController; readonly ended: Promise<void> } | undefined

  constructor(engine: Engine, conversation: Conversation, transcript: Transcript, handlers: ChatHandlers) {
    this.#engine = engine
    this.#conversation = conversation
    this.#transcript = transcript
    this.#handlers = handlers
  }

  get answering(): boolean {
    return this.#running !== undefined
  }

  ask(mode: Mode, text: string, sampling: SamplingParams): void {
    if (this.#running !== undefined) return
    const abort = new AbortController()
    this.#running = { abort, ended: this.#answer(mode, text, sampling, abort.signal) }
    this.#handlers.answering(true)
  }

  /** Stops the answer; resolves when the engine has let go of it. Harmless when there is none. */
  async stop(): Promise<void> {
    this.#running?.abort.abort()
    await this.#running?.ended
  }

  async startAnew(): Promise<void> {
    await this.stop()
    this.#conversation.clear()
    this.#transcript.clear()
  }

  async #answer(mode: Mode, text: string, sampling: SamplingParams, signal: AbortSignal): Promise<void> {
    const { say, fail, answering } = this.#handlers
    const turn = this.#transcript.begin(mode, text)
    const speed = new Speed()
    let answer = ''
    say('Answering…')
    try {
      const generation = this.#engine.generate({ ...this.#conversation.ask(mode, text), ...sampling, signal })
      for await (const delta of generation) {
        answer += delta.text
        speed.add(delta.tokens.length)
        turn.grow(delta.text, speedCaption(speed))
      }
      const result = await generation
      this.#conversation.remember(mode, text, result.text)
      this.#end(turn, speed, result)
    } catch (error) {
      if (answer === '') this.#transcript.remove(turn)
      else turn.end([...speedCaption(speed), { text: 'failed', testId: 'ending' }])
      say('')
      fail(error, answer === '' ? text : undefined)
    } finally {
      this.#running = undefined
      answering(false)
    }
  }

  #end(turn: Turn, speed: Speed, { finishReason, usage, tokens }: GenerationResult): void {
    const context = this.#engine.model?.contextLength ?? 0
    const numTokens = usage.promptTokens + usage.completionTokens
    const ending = endingWords(finishReason, numTokens >= context)
    turn.end([
      ...speedCaption(speed),
      { text: `${numTokens} of ${context} in context`, testId: 'context' },
      ...(ending === '' ? [] : [{ text: ending, testId: 'ending' }]),
    ])
    this.#handlers.say(
      `${finishReason === 'abort' ? 'Stopped' : 'Answer finished'} after ${tokens.length} tokens.`,
    )
  }
}

function endingWords(reason: GenerationResult['finishReason'], contextIsFull: boolean): string {
  if (reason === 'stop') return ''
  if (reason === 'abort') return 'stopped'
  return contextIsFull ? 'context is full' : 'reached max tokens'
}

function speedCaption({ numTokens, tokensPerSecond, firstTokenMs }: Speed): Caption[] {
  return [
    { text: `${numTokens} tokens`, testId: 'num-tokens' },
    ...(tokensPerSecond === undefined ? [] : [{ text: rate(tokensPerSecond), testId: 'speed' }]),
    ...(firstTokenMs === undefined
      ? []
      : [{ text: `first after ${duration(firstTokenMs)}`, testId: 'first-token' }]),
  ]
}

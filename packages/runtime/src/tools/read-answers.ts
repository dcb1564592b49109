import type { Emit } from '@tabserve/engine'
import type { DeltaEvent, FinishEvent, ToolCallDelta } from '@tabserve/protocol'
import type { AnswerFormat } from './answer-reader.ts'
import { AnswerReader } from './answer-reader.ts'
import type { CallSink } from './call-sink.ts'

/**
 * Puts a reader of each answer between the engine and the caller. @param said texts that the answers have said already, in order, which the caller has
 * heard: they are read and not told again.
 */
export function readAnswers(emit: Emit, format: AnswerFormat, said: readonly string[] = []): Emit {
  const answers: Answer[] = []
  const answerOf = (choice: number) => (answers[choice] ??= new Answer(format))
  said.forEach((text, choice) => void answerOf(choice).read(text))
  return (event) => {
    if (event.type === 'delta') return emit({ ...event, ...answerOf(event.choice).read(event.text) })
    if (event.type === 'finish') {
      event.choices.forEach((_, choice) => {
        const rest = answerOf(choice).end()
        if (rest !== undefined) emit({ type: 'delta', choice, tokens: [], ...rest })
      })
      return emit({ ...event, choices: event.choices.map((end, choice) => answerOf(choice).ended(end)) })
    }
    emit(event)
  }
}

type Told = Pick<DeltaEvent, 'text' | 'toolCalls' | 'reasoning'>

/** One answer: what its reader has told since it was asked last. */
class Answer implements CallSink {
  readonly #reader: AnswerReader
  #text = ''
  #reasoning = ''
  #calls: ToolCallDelta[] = []
  #numCalls = 0

  constructor(format: AnswerFormat) {
    this.#reader = new AnswerReader(format, this)
  }

  read(text: string): Told {
    this.#reader.push(text)
    return this.#take()
  }

  /** What was held back; `undefined`: nothing. */
  end(): Told | undefined {
    this.#reader.end()
    const told = this.#take()
    return told.text === '' && Object.keys(told).length === 1 ? undefined : told
  }

  ended(end: FinishEvent['choices'][number]): FinishEvent['choices'][number] {
    return this.#numCalls > 0 && end.reason === 'stop' ? { ...end, reason: 'tool_calls' } : end
  }

  text(text: string): void {
    this.#text += text
  }

  reasoning(text: string): void {
    this.#reasoning += text
  }

  call(name: string): void {
    this.#calls.push({ index: this.#numCalls++, id: newCallId(), name, arguments: '' })
  }

  arguments(text: string): void {
    const last = this.#calls.pop()
    if (last !== undefined) this.#calls.push({ ...last, arguments: last.arguments + text })
    else this.#calls.push({ index: this.#numCalls - 1, arguments: text })
  }

  #take(): Told {
    const [text, reasoning, calls] = [this.#text, this.#reasoning, this.#calls]
    this.#text = this.#reasoning = ''
    this.#calls = []
    return {
      text,
      ...(calls.length > 0 ? { toolCalls: calls } : {}),
      ...(reasoning === '' ? {} : { reasoning }),
    }
  }
}

const ID_LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789'
/** Mistral's templates refuse ids that are not nine letters or digits. */
const ID_LENGTH = 9

function newCallId(): string {
  const random = crypto.getRandomValues(new Uint8Array(ID_LENGTH))
  return Array.from(random, (byte) => ID_LETTERS[byte % ID_LETTERS.length]).join('')
}

import type { Tensors, VoiceActivity, VoiceActivityInput } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { MultiPass } from '../handler.ts'
import { Parameters } from '../parameters.ts'
import type { TaskModel } from '../task-model.ts'
import type { SegmentRules } from './speech-segments.ts'
import { RATE, VoiceStream } from './voice-stream.ts'

/** Where somebody speaks (Silero VAD, 16 kHz): a whole recording, or the chunks of a stream, whose state stays here between them. */
export function voiceActivity(model: TaskModel): Promise<MultiPass<VoiceActivityInput, VoiceActivity>> {
  const streams = new OpenStreams(() => performance.now())
  return Promise.resolve({
    run(input, { parameters, run }) {
      const { samples, stream, isLast } = checked(input)
      const read = new Parameters(parameters, model.options, ['threshold', 'minSilenceMs', 'minSpeechMs'])
      const rules = rulesOf(read)
      const pass = (inputs: Tensors) => run('main', inputs)
      if (stream === undefined) return new VoiceStream(rules).hear(samples, true, pass)
      const open = streams.open(stream, rules)
      if (isLast) streams.close(stream)
      return open.hear(samples, isLast, pass)
    },
  })
}

/** Streams by name. One that nobody spoke on for a minute is over: its name begins anew. */
class OpenStreams {
  readonly #now: () => number
  readonly #streams = new Map<string, { readonly stream: VoiceStream; used: number }>()

  constructor(now: () => number) {
    this.#now = now
  }

  open(name: string, rules: SegmentRules): VoiceStream {
    const now = this.#now()
    for (const [other, { used }] of this.#streams) if (now - used > IDLE_MS) this.#streams.delete(other)
    const found = this.#streams.get(name) ?? { stream: new VoiceStream(rules), used: now }
    found.used = now
    if (!this.#streams.has(name) && this.#streams.size >= MOST_STREAMS)
      throw new EngineError('queue_full', `${MOST_STREAMS} streams are open; end one with end: true.`)
    this.#streams.set(name, found)
    return found.stream
  }

  close(name: string): void {
    this.#streams.delete(name)
  }
}

const IDLE_MS = 60_000
const MOST_STREAMS = 256

function rulesOf(read: Parameters): SegmentRules {
  const samples = (name: string, standard: number) =>
    (read.number(name, 'a number of milliseconds', (value) => value >= 0, standard) * RATE) / 1000
  return {
    threshold: read.fraction('threshold', 0.5),
    minSilence: samples('minSilenceMs', 100),
    minSpeech: samples('minSpeechMs', 250),
  }
}

function checked(input: unknown): {
  readonly samples: Float32Array
  readonly stream?: string
  readonly isLast: boolean
} {
  if (input instanceof Float32Array) return { samples: input, isLast: true }
  if (isRecord(input)) {
    const { samples, stream, end = false } = input
    if (samples instanceof Float32Array && typeof stream === 'string' && typeof end === 'boolean')
      return { samples, stream, isLast: end }
  }
  throw new EngineError(
    'bad_request',
    'Voice activity takes a Float32Array of 16,000 samples a second, or { samples, stream, end } for a chunk of a stream.',
    { param: 'input' },
  )
}

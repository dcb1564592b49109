import type { TensorValue, Tensors, VoiceActivity } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { floatOutput, floats, integers } from '../tensors.ts'
import type { Segment, SegmentRules } from './speech-segments.ts'
import { SpeechSegments } from './speech-segments.ts'

/** One stretch of audio, in chunks of any length: what of it was heard, and the state that the graph carries from window to window. */
export class VoiceStream {
  readonly #segments: SpeechSegments
  #state: TensorValue = floats([2, 1, STATE], new Float32Array(2 * STATE))
  /** The end of the last window, which the graph wants to see again. */
  #before = new Float32Array(CONTEXT)
  #rest = new Float32Array()
  #turn: Promise<unknown> = Promise.resolve()

  constructor(rules: SegmentRules) {
    this.#segments = new SpeechSegments(rules)
  }

  /** Chunks of one stream in their order. @param isLast the rest, filled up with silence, is heard too. */
  hear(
    samples: Float32Array,
    isLast: boolean,
    run: (inputs: Tensors) => Promise<Tensors>,
  ): Promise<VoiceActivity> {
    const result = this.#turn.then(() => this.#hear(samples, isLast, run))
    this.#turn = result.catch(() => {}) // the next chunk waits for this one, not for its luck
    return result
  }

  async #hear(
    samples: Float32Array,
    isLast: boolean,
    run: (inputs: Tensors) => Promise<Tensors>,
  ): Promise<VoiceActivity> {
    const heard = joined(this.#rest, samples)
    const numWindows = isLast ? Math.ceil(heard.length / WINDOW) : Math.floor(heard.length / WINDOW)
    const probabilities = new Float32Array(numWindows)
    const segments: Segment[] = []
    for (let index = 0; index < numWindows; index++) {
      const window = new Float32Array(WINDOW)
      window.set(heard.subarray(index * WINDOW, (index + 1) * WINDOW))
      const probability = await this.#judge(window, run)
      probabilities[index] = probability
      const ended = this.#segments.push(probability, WINDOW)
      if (ended !== undefined) segments.push(ended)
    }
    this.#rest = heard.slice(numWindows * WINDOW)
    const last = isLast ? this.#segments.finish() : this.#segments.open
    return { probabilities, segments: last === undefined ? segments : [...segments, last] }
  }

  async #judge(window: Float32Array, run: (inputs: Tensors) => Promise<Tensors>): Promise<number> {
    const input = floats([1, CONTEXT + WINDOW], joined(this.#before, window))
    const outputs = await run({ input, state: this.#state, sr: integers([], [RATE]) })
    const { stateN } = outputs
    if (stateN === undefined)
      throw new EngineError('bad_model', 'A voice activity graph gives output and stateN.')
    this.#state = stateN
    this.#before = window.slice(WINDOW - CONTEXT)
    return floatOutput(outputs, 'output').data[0] ?? 0
  }
}

/** Silero VAD 5 at 16 kHz. */
export const RATE = 16_000
const WINDOW = 512
const CONTEXT = 64
const STATE = 128

function joined(a: Float32Array, b: Float32Array): Float32Array<ArrayBuffer> {
  const both = new Float32Array(a.length + b.length)
  both.set(a)
  both.set(b, a.length)
  return both
}

export interface SegmentRules {
  /** Probability from which on a window is speech; it ends 0.15 below, so that a doubtful window does not cut a word. */
  readonly threshold: number
  /** In samples. */
  readonly minSilence: number
  readonly minSpeech: number
}

export interface Segment {
  readonly start: number
  readonly end?: number
}

/**
 * Probabilities of speech, window by window, to stretches of speech, as Silero's own `get_speech_timestamps` finds them: a stretch ends where silence
 * has lasted long enough, at the silence's beginning. Positions are samples of the whole stream.
 */
export class SpeechSegments {
  readonly #rules: SegmentRules
  #position = 0
  #start: number | undefined
  #silence: number | undefined

  constructor(rules: SegmentRules) {
    this.#rules = rules
  }

  /** Takes the next window; gives a stretch that has ended. */
  push(probability: number, windowLength: number): Segment | undefined {
    const from = this.#position
    this.#position += windowLength
    const { threshold, minSilence } = this.#rules
    if (probability >= threshold) {
      this.#start ??= from
      this.#silence = undefined
      return undefined
    }
    if (this.#start === undefined || probability >= threshold - HYSTERESIS) return undefined
    this.#silence ??= from
    return this.#position - this.#silence < minSilence ? undefined : this.#close(this.#silence)
  }

  /** A stretch that has begun and not ended. */
  get open(): Segment | undefined {
    if (this.#start === undefined || this.#position - this.#start < this.#rules.minSpeech) return undefined
    return { start: this.#start }
  }

  /** The end of the stream ends what has begun. */
  finish(): Segment | undefined {
    return this.#start === undefined ? undefined : this.#close(this.#silence ?? this.#position)
  }

  #close(end: number): Segment | undefined {
    const start = this.#start ?? end
    this.#start = undefined
    this.#silence = undefined
    return end - start < this.#rules.minSpeech ? undefined : { start, end }
  }
}

const HYSTERESIS = 0.15

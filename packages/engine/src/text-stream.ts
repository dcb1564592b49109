/** A decoder writes this for bytes that are no character: one, at the end, while a character is incomplete (WHATWG). */
const REPLACEMENT = '\uFFFD'
/** Tokens in front of the first new one that its text may depend on: SentencePiece drops the space of a first piece. */
const CONTEXT_TOKENS = 6
/** Unsaid tokens after which the window is cut to `CONTEXT_TOKENS`; an incomplete character is at most three of them. */
const MAX_PENDING_TOKENS = 12

type Decode = (tokens: readonly number[]) => string

/**
 * Growing tokens to text that can be shown: whole characters only, and nothing that is, or may still become, a stop string.
 * Of a U+FFFD it shows all but the last character of the text: only that one can still turn into something else.
 */
export class TextStream {
  readonly #window: DecodeWindow
  readonly #stops: StopFilter

  /** @param prompt what the text continues; only its end is read. */
  constructor(decode: Decode, stop: readonly string[], prompt: readonly number[] = []) {
    this.#window = new DecodeWindow(decode, prompt.slice(-CONTEXT_TOKENS))
    this.#stops = new StopFilter(stop)
  }

  /** The stop string that ended the text. */
  get stopped(): string | undefined {
    return this.#stops.stopped
  }

  /** Takes one more token and returns what can be shown now: nothing, once a stop string has ended the text. */
  push(token: number): string {
    return this.stopped === undefined ? this.#stops.pass(this.#window.push(token)) : ''
  }

  /** What was held back, when no more tokens come. */
  flush(): string {
    return this.stopped === undefined ? this.#stops.pass(this.#window.flush()) + this.#stops.flush() : ''
  }
}

/**
 * Tokens to text, as vLLM's `detokenize_incrementally` does it: a short window is decoded, never the whole text.
 *
 * Invariant: everything up to `#context` is said, and ends where a character ends; `#said` characters of the text of
 * `#pending` are said too. What is said cannot change, because a decoder of bytes only ever changes its last U+FFFD.
 */
class DecodeWindow {
  readonly #decode: Decode
  #context: readonly number[]
  #contextText: string
  #pending: number[] = []
  #pendingText = ''
  #said = 0

  constructor(decode: Decode, context: readonly number[]) {
    this.#decode = decode
    this.#context = context
    // A prompt may end within a character: then the character is the answer's first.
    this.#contextText = withoutLast(decode(context))
  }

  push(token: number): string {
    const before = this.#pendingText
    this.#pending.push(token)
    this.#pendingText = this.#textOfPending()
    if (before !== '' && this.#pendingText === before && this.#decode([token]) === '') this.#pending.pop() // a special token
    const text = this.#say(withoutLast(this.#pendingText).length)
    if (this.#said === this.#pendingText.length) this.#rebase()
    else if (this.#pending.length > MAX_PENDING_TOKENS) this.#cut()
    return text
  }

  flush(): string {
    return this.#say(this.#pendingText.length)
  }

  #say(end: number): string {
    const text = this.#pendingText.slice(this.#said, end)
    this.#said = Math.max(this.#said, end)
    return text
  }

  #textOfPending(): string {
    const text = this.#decode([...this.#context, ...this.#pending])
    return text.startsWith(this.#contextText)
      ? text.slice(this.#contextText.length)
      : this.#decode(this.#pending)
  }

  /** Everything is said: what was pending is the next context, unless it has no text for the next token to join. */
  #rebase(): void {
    if (this.#pendingText !== '') this.#context = this.#pending
    else if (this.#contextText === '')
      this.#context = [...this.#context, ...this.#pending].slice(-CONTEXT_TOKENS)
    this.#contextText = this.#decode(this.#context)
    this.#pending = []
    this.#pendingText = ''
    this.#said = 0
  }

  /** Every token so far ended within a character. The window may now begin within one too: only how it ends matters. */
  #cut(): void {
    const unsaid = this.#pendingText.length - this.#said
    this.#context = []
    this.#contextText = ''
    this.#pending = this.#pending.slice(-CONTEXT_TOKENS)
    this.#pendingText = this.#textOfPending()
    this.#said = this.#pendingText.length - unsaid
  }
}

/**
 * Lets text through up to the first stop string that is complete, as if characters came one by one: so the result does not
 * depend on how the text is cut into tokens. Of two that are complete at once, the longer one counts.
 */
class StopFilter {
  readonly #stops: readonly string[]
  /** The longest end of the text that is the beginning of a stop string. */
  #held = ''
  stopped: string | undefined

  constructor(stops: readonly string[]) {
    this.#stops = stops
  }

  pass(text: string): string {
    const all = this.#held + text
    let end = Infinity
    for (const stop of this.#stops) {
      const at = all.indexOf(stop)
      if (at < 0 || at + stop.length > end) continue
      if (at + stop.length === end && stop.length <= (this.stopped?.length ?? 0)) continue
      end = at + stop.length
      this.stopped = stop
    }
    if (this.stopped !== undefined) return all.slice(0, end - this.stopped.length)
    const safe = all.length - this.#unsureLength(all)
    this.#held = all.slice(safe)
    return all.slice(0, safe)
  }

  flush(): string {
    const text = this.stopped === undefined ? this.#held : ''
    this.#held = ''
    return text
  }

  #unsureLength(text: string): number {
    let longest = 0
    for (const stop of this.#stops) {
      for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
        if (text.endsWith(stop.slice(0, length))) longest = length
      }
    }
    return longest
  }
}

function withoutLast(text: string): string {
  return text.endsWith(REPLACEMENT) ? text.slice(0, -1) : text
}

/** Tokens before a new one that its text may depend on: SentencePiece drops the space in front of a first piece. */
const CONTEXT_TOKENS = 6
/** No UTF-8 character is longer than four bytes, so no unfinished one than three tokens that are bytes. */
const MAX_UNFINISHED_TOKENS = 3
const REPLACEMENT = '\uFFFD'

/**
 * Growing tokens to text that can be shown: whole characters only, and nothing that is, or may still become, a stop string.
 * Decodes a short window a token, never the whole text.
 *
 * Invariant: the text of tokens before `#read` has been taken; tokens from `#prefix` on are decoded with them, as context.
 */
export class TextStream {
  readonly #decode: (tokens: readonly number[]) => string
  readonly #stop: readonly string[]
  readonly #tokens: number[]
  #prefix = 0
  #read: number
  /** Text that may be the beginning of a stop string. */
  #held = ''
  #stopped: string | undefined

  /** @param prompt what the text continues; its end is the first context. */
  constructor(
    decode: (tokens: readonly number[]) => string,
    stop: readonly string[],
    prompt: readonly number[] = [],
  ) {
    this.#decode = decode
    this.#stop = stop
    this.#tokens = prompt.slice(-CONTEXT_TOKENS)
    this.#read = this.#tokens.length
  }

  /** The stop string that ended the text. */
  get stopped(): string | undefined {
    return this.#stopped
  }

  /** Takes one more token and returns what can be shown now. */
  push(token: number): string {
    if (this.#stopped !== undefined) return ''
    this.#tokens.push(token)
    const unfinished = this.#pending().endsWith(REPLACEMENT)
    // What is still no character after that many tokens never becomes one: it is shown as it is.
    if (unfinished && this.#tokens.length - this.#read <= MAX_UNFINISHED_TOKENS) return ''
    return this.#show(this.#take())
  }

  /** What was held back, when no more tokens come. Half a character at the end stays unsaid. */
  flush(): string {
    if (this.#stopped !== undefined) return ''
    const shown = this.#show(trimEnd(this.#take(), REPLACEMENT))
    const rest = this.#stopped === undefined ? this.#held : ''
    this.#held = ''
    return shown + rest
  }

  #pending(): string {
    const context = this.#decode(this.#tokens.slice(this.#prefix, this.#read))
    return this.#decode(this.#tokens.slice(this.#prefix)).slice(context.length)
  }

  #take(): string {
    const text = this.#pending()
    this.#prefix = this.#read
    this.#read = this.#tokens.length
    return text
  }

  #show(text: string): string {
    this.#held += text
    const match = firstMatch(this.#held, this.#stop)
    if (match !== undefined) {
      this.#stopped = match.stop
      return this.#held.slice(0, match.at)
    }
    const safe = this.#held.length - unsureLength(this.#held, this.#stop)
    const shown = this.#held.slice(0, safe)
    this.#held = this.#held.slice(safe)
    return shown
  }
}

function firstMatch(text: string, stops: readonly string[]): { stop: string; at: number } | undefined {
  let first: { stop: string; at: number } | undefined
  for (const stop of stops) {
    const at = text.indexOf(stop)
    if (at >= 0 && (first === undefined || at < first.at)) first = { stop, at }
  }
  return first
}

/** Length of the longest end of `text` that is the beginning of a stop string. */
function unsureLength(text: string, stops: readonly string[]): number {
  let longest = 0
  for (const stop of stops) {
    for (let length = Math.min(stop.length - 1, text.length); length > longest; length--) {
      if (text.endsWith(stop.slice(0, length))) longest = length
    }
  }
  return longest
}

function trimEnd(text: string, character: string): string {
  let end = text.length
  while (end > 0 && text[end - 1] === character) end--
  return text.slice(0, end)
}

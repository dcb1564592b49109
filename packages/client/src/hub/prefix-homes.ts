import type { GenerateRequest, ChatMessage, Request } from '@tabserve/protocol'

/** Beginnings that are remembered; the KV caches forget sooner. */
const MOST_HOMES = 4096
/** One beginning ends after each of these many tokens or characters: as coarse as a conversation's turns. */
const STEP = { promptTokens: 32, prompt: 128 } as const
const MOST_BEGINNINGS = 64

/** Where the beginnings of prompts were computed last, so that a conversation goes on where its KV is. */
export class PrefixHomes<Home> {
  /** In order of use: the first is forgotten first. */
  readonly #homes = new Map<string, Home>()

  /** The home of the longest of these beginnings, which go from short to long. */
  find(beginnings: readonly string[]): Home | undefined {
    const known = beginnings.findLast((beginning) => this.#homes.has(beginning))
    return known === undefined ? undefined : this.#homes.get(known)
  }

  remember(beginnings: readonly string[], home: Home): void {
    for (const beginning of beginnings) {
      this.#homes.delete(beginning)
      this.#homes.set(beginning, home)
    }
    for (const oldest of this.#homes.keys()) {
      if (this.#homes.size <= MOST_HOMES) break
      this.#homes.delete(oldest)
    }
  }

  forget(home: Home): void {
    for (const [beginning, at] of this.#homes) if (at === home) this.#homes.delete(beginning)
  }
}

/** What the whole of a session is called among beginnings: the longest of all. */
export const sessionBeginning = (session: string) => `session ${session}`

/** The beginnings of a request's prompt, from short to long, each as a hash of all before its end. The request may be wrong: then there are none. */
export function beginningsOf(request: Request): string[] {
  // A sequence's state lies in one worker.
  if (request.task !== 'generate')
    return request.sequence === undefined ? [] : [`sequence ${request.sequence.id}`]
  const { session } = request
  return [...promptBeginnings(request), ...(session === undefined ? [] : [sessionBeginning(session)])]
}

function promptBeginnings({ messages, prompt, promptTokens, cacheSalt }: GenerateRequest): string[] {
  const pieces = Array.isArray(messages)
    ? messages.map((message: Partial<ChatMessage> | null) => `${message?.role} ${message?.content}`)
    : typeof prompt === 'string'
      ? piecesOf(prompt.length, STEP.prompt, (from, to) => prompt.slice(from, to))
      : Array.isArray(promptTokens)
        ? piecesOf(promptTokens.length, STEP.promptTokens, (from, to) => promptTokens.slice(from, to).join())
        : []
  let hash = hashOf(2166136261, String(cacheSalt))
  return pieces.slice(0, MOST_BEGINNINGS).map((piece, index) => `${index} ${(hash = hashOf(hash, piece))}`)
}

/** Whole pieces only: what comes behind the last one is no beginning that others share. A short prompt is one piece. */
function piecesOf(length: number, step: number, slice: (from: number, to: number) => string): string[] {
  if (length < step) return [slice(0, length)]
  return Array.from({ length: Math.floor(length / step) }, (_, index) =>
    slice(index * step, (index + 1) * step),
  )
}

/** FNV-1a over UTF-16 units: two beginnings of one hash share a home for nothing, no more. */
function hashOf(seed: number, text: string): number {
  let hash = seed
  for (let index = 0; index < text.length; index++) hash = Math.imul(hash ^ text.charCodeAt(index), 16777619)
  return hash >>> 0
}

import type { Answer } from './api.ts'
import type { ChatMessage, SamplingParams } from './request.ts'

/** What is known of a session besides its KV: enough to compute that again. */
export interface SessionState {
  /** Of a conversation; exactly one of this and `text`. */
  readonly messages?: readonly ChatMessage[]
  /** Of a text that is continued. */
  readonly text?: string
  /** The text as the model has read and said it. Empty: to be tokenized again. */
  readonly tokens: readonly number[]
  /** How its answers are drawn where a request does not say. */
  readonly sampling: SamplingParams
  /** Answer number `numAnswers` is drawn with a seed made of both. */
  readonly seed: number
  readonly numAnswers: number
  readonly cacheSalt?: string
}

/** A session in the weight store. */
export interface SavedSession {
  readonly name: string
  /** `name@version`. */
  readonly model: string
  readonly numTokens: number
  /** Bytes kept, its KV above all. */
  readonly bytes: number
  /** Whether its KV is there. It gives way to other sessions and to models when room runs out; then the session can be restored with `recompute` only. */
  readonly hasKv: boolean
  /** Milliseconds since 1970. */
  readonly savedAt: number
  readonly usedAt: number
}

/** A session that is to be kept. */
export interface SaveSessionRequest {
  /** `name@version`. */
  readonly model: string
  /** An open session. Its KV is computed where it is not there. */
  readonly session: string
  readonly name: string
  readonly state: SessionState
}

/** A saved session, and the open one that goes on where it was. */
export interface RestoreSessionRequest {
  readonly name: string
  /** `name@version`; it must be what the session was saved with, to the byte. */
  readonly model: string
  /** Which open session gets it. */
  readonly session: string
  /** Gives a session whose KV is damaged, gone or of another model or layout without it, instead of refusing. */
  readonly recompute: boolean
}

/** A saved session that an open one goes on from. */
export interface RestoredSession {
  readonly saved: SavedSession
  readonly state: SessionState
  /** Whether its KV is there; else it is computed when it is wanted. */
  readonly hasKv: boolean
}

/** Sessions of a worker and of its weight store. */
export interface SessionsApi {
  saveSession(request: SaveSessionRequest): Promise<Answer<SavedSession>>
  /** Answers `session_not_found`, `session_mismatch`, `integrity`, `context_overflow` or `model_not_loaded`. */
  restoreSession(request: RestoreSessionRequest): Promise<Answer<RestoredSession>>
  /** Another session shares the KV that one keeps. */
  shareSession(model: string, from: string, to: string): Promise<Answer<null>>
  /** What a session keeps may go. Harmless for one that keeps nothing. */
  releaseSession(model: string, session: string): Promise<Answer<null>>
  /** The last used first. */
  listSessions(): Promise<Answer<readonly SavedSession[]>>
  /** Harmless where there is none of that name. */
  deleteSession(name: string): Promise<Answer<null>>
}

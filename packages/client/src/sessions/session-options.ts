import type { SamplingParams } from '@tabserve/protocol'
import { EngineError, SAMPLING_OPTIONS } from '@tabserve/protocol'
import type { GenerateOptions } from '../client-options.ts'
import { refuse, unknownOf } from '../unknown-options.ts'

/** How a session is opened. Sampling parameters are the defaults of its answers; `seed` is that of the first, from which the others' follow. */
export interface SessionOptions extends SamplingParams {
  /** `name`, `name@version` or an alias. The version that it stands for now is the session's for its life. */
  readonly model: string
  /** Of an alias: one key, one version. */
  readonly stickyKey?: string
  /** KV is shared between requests of one salt only. Default: all share. */
  readonly cacheSalt?: string
  /** What a conversation does that does not fit the context. `truncate-start`: its oldest messages that are not the system's go. Default `error`. */
  readonly contextOverflow?: 'error' | 'truncate-start'
  /** Told when `truncate-start` has dropped messages. */
  readonly onContextOverflow?: () => void
}

/** What one answer can be asked with: everything but what the session knows itself. */
export type AnswerOptions = Omit<
  GenerateOptions,
  | 'model'
  | 'prompt'
  | 'promptTokens'
  | 'messages'
  | 'session'
  | 'n'
  | 'resume'
  | 'stickyKey'
  | 'cacheSalt'
  | 'contextOverflow'
>

export interface CheckedSession extends Omit<SessionOptions, keyof SamplingParams> {
  readonly sampling: SamplingParams
  readonly seed: number
}

/** Throws `bad_request`. */
export function checkedSession(options: SessionOptions): CheckedSession {
  const { model, stickyKey, cacheSalt, contextOverflow, onContextOverflow, seed, ...sampling } = options
  refuse(unknownOf(sampling, SAMPLING_OPTIONS), 'session')
  if (typeof model !== 'string') throw new EngineError('bad_request', 'A session needs a model.')
  if (contextOverflow !== undefined && !['error', 'truncate-start'].includes(contextOverflow))
    throw new EngineError(
      'bad_request',
      'contextOverflow of a session must be "error" or "truncate-start".',
      {
        param: 'contextOverflow',
      },
    )
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw new EngineError('bad_request', `seed must be a whole number, not ${String(seed)}.`, {
      param: 'seed',
    })
  return {
    model,
    sampling,
    // As many as can be drawn, and far from where numbers are not whole any more.
    seed: seed ?? crypto.getRandomValues(new Uint32Array(1))[0] ?? 0,
    ...(stickyKey === undefined ? {} : { stickyKey }),
    ...(cacheSalt === undefined ? {} : { cacheSalt }),
    ...(contextOverflow === undefined ? {} : { contextOverflow }),
    ...(onContextOverflow === undefined ? {} : { onContextOverflow }),
  }
}

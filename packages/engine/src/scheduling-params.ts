import type { GenerateRequest } from '@tabserve/protocol'
import { checkBoolean, checkNumber, checkOneOf, checkString, refusal } from './check-option.ts'

/** `SchedulingParams` and `n`, every option checked and filled in. */
export interface Scheduling {
  readonly n: number
  readonly priority: number
  readonly preempt: boolean
  readonly admission: 'queue' | 'immediate'
  /** `Infinity`: none. */
  readonly queueTimeoutMs: number
  readonly timeoutMs: number
  readonly contextOverflow: 'error' | 'truncate-start' | 'stop'
  readonly cacheSalt: string
  readonly readPrefixCache: boolean
  /** Keeps the KV of what it asked last. */
  readonly session: string | undefined
}

export const MAX_CHOICES = 64

/** Throws `bad_request` that names the first wrong option, its value and what is allowed. */
export function resolveScheduling(request: Omit<GenerateRequest, 'task' | 'model'>): Scheduling {
  if (request.session !== undefined && (request.n ?? 1) !== 1) throw refusal('n', request.n, '1 in a session')
  const timeout = (option: 'queueTimeoutMs' | 'timeoutMs') =>
    checkNumber(option, request[option], 'a number of milliseconds above 0', (value) => value > 0) ?? Infinity
  return {
    n:
      checkNumber(
        'n',
        request.n,
        `a whole number from 1 to ${MAX_CHOICES}`,
        (value) => Number.isInteger(value) && value >= 1 && value <= MAX_CHOICES,
      ) ?? 1,
    priority: checkNumber('priority', request.priority, 'a whole number', Number.isSafeInteger) ?? 0,
    preempt: checkBoolean('preempt', request.preempt) ?? false,
    admission: checkOneOf('admission', request.admission, ['queue', 'immediate']) ?? 'queue',
    queueTimeoutMs: timeout('queueTimeoutMs'),
    timeoutMs: timeout('timeoutMs'),
    contextOverflow:
      checkOneOf('contextOverflow', request.contextOverflow, ['error', 'truncate-start', 'stop']) ?? 'stop',
    cacheSalt: checkString('cacheSalt', request.cacheSalt) ?? '',
    readPrefixCache: checkBoolean('readPrefixCache', request.readPrefixCache) ?? true,
    session: checkString('session', request.session),
  }
}

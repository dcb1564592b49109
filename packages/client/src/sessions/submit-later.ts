import type { FinishEvent } from '@tabserve/protocol'
import { toWireError } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'

/** A request that is ready to go. */
export interface Prepared {
  /** Sends it and returns how to cancel it. */
  submit(listener: Listener): () => void
  /** It will not be sent. */
  drop(): void
}

/** Sends a request that must be prepared first. Cancelled before that, it ends with reason `abort` at once, and is never sent. */
export function submitLater(listener: Listener, model: string, prepare: () => Promise<Prepared>): () => void {
  const started = performance.now()
  let cancelSent: (() => void) | undefined
  let isOver = false
  const end = (event: Parameters<Listener['take']>[0]) => {
    isOver = true
    listener.servedBy({ where: 'local', model })
    listener.take(event)
  }
  const fail = (error: unknown) => {
    if (!isOver) end({ type: 'error', error: toWireError(error, 'bad_request') })
  }
  prepare().then((prepared) => {
    if (isOver) return prepared.drop()
    try {
      cancelSent = prepared.submit(listener)
    } catch (error) {
      prepared.drop()
      fail(error)
    }
  }, fail)
  return () => {
    if (cancelSent !== undefined) cancelSent()
    else if (!isOver) end(abortion(performance.now() - started))
  }
}

function abortion(ms: number): FinishEvent {
  return {
    type: 'finish',
    choices: [{ reason: 'abort' }],
    usage: { promptTokens: 0, cachedTokens: 0, completionTokens: 0 },
    timing: { queueMs: ms, firstTokenMs: undefined, totalMs: ms },
  }
}

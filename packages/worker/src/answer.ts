import type { Answer, ErrorCode, LoadCommand, LoadProgress } from '@tabserve/protocol'
import { toWireError } from '@tabserve/protocol'

/** What work gives, or how it failed, as data. */
export async function answer<T>(fallback: ErrorCode, work: () => Promise<T> | T): Promise<Answer<T>> {
  try {
    return { ok: true, value: await work() }
  } catch (error) {
    return { ok: false, error: toWireError(error, fallback) }
  }
}

/** Runs long work that tells of itself, and can be stopped, through a port. */
export async function withProgress<T>(
  port: MessagePort,
  work: (onProgress: (progress: LoadProgress) => void, signal: AbortSignal) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  port.onmessage = ({ data }: MessageEvent<LoadCommand>) => data.type === 'cancel' && abort.abort()
  try {
    return await work((progress) => port.postMessage(progress), abort.signal)
  } finally {
    port.close()
  }
}

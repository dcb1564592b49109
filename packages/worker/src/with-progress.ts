import type { LoadCommand, LoadProgress } from '@tabserve/protocol'

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

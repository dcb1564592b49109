import type { LoadCommand, LoadProgress } from '@tabserve/protocol'

/** Runs a call that tells of itself through a port and stops by its signal. */
export async function withPort<T>(
  onProgress: ((progress: LoadProgress) => void) | undefined,
  signal: AbortSignal | undefined,
  call: (port: MessagePort) => Promise<T>,
): Promise<T> {
  const { port1, port2 } = new MessageChannel()
  const cancel = () => port1.postMessage({ type: 'cancel' } satisfies LoadCommand)
  port1.onmessage = ({ data }: MessageEvent<LoadProgress>) => onProgress?.(data)
  signal?.addEventListener('abort', cancel)
  // The message waits in the port until the worker listens.
  if (signal?.aborted === true) cancel()
  try {
    return await call(port2)
  } finally {
    signal?.removeEventListener('abort', cancel)
    port1.close()
  }
}

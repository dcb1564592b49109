import { expose } from 'comlink'
import type { Cancel } from '@tabserve/engine'
import type {
  Answer,
  EngineApi,
  ErrorCode,
  LoadCommand,
  LoadProgress,
  RequestCommand,
  RequestEvent,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import { idbStore, isKernelThread, memoryStore, serveAsThread } from '@tabserve/runtime'
import { Server } from './server.ts'

/** Exposes one `Server` to the page that made this worker. Called once, by the worker's entry file, which helper threads run too. */
export function startWorker(): void {
  if (isKernelThread()) return serveAsThread()
  let server: Server | undefined
  const ready = () => {
    if (server === undefined) throw new EngineError('backend_failed', 'The worker was not configured.')
    return server
  }

  const api: EngineApi = {
    configure: (config) =>
      answer('backend_failed', async () => {
        server = new Server(config, globalThis.indexedDB === undefined ? memoryStore() : idbStore())
        await holdLifeLock(config.lifeLock)
        return server.device.report
      }),
    load: (request, port) =>
      answer('backend_failed', async () => {
        const abort = new AbortController()
        port.onmessage = ({ data }: MessageEvent<LoadCommand>) => data.type === 'cancel' && abort.abort()
        try {
          return await ready().load(
            request,
            (progress: LoadProgress) => port.postMessage(progress),
            abort.signal,
          )
        } finally {
          port.close()
        }
      }),
    unload: (model) =>
      answer('backend_failed', () =>
        ready()
          .unload(model)
          .then(() => null),
      ),
    list: () => answer('backend_failed', () => ready().list()),
    describe: (model) => answer('backend_failed', () => ready().describe(model)),
    stats: (model) => answer('backend_failed', () => ready().stats(model)),
    resetPrefixCache: (model) =>
      answer('backend_failed', () => {
        ready().resetPrefixCache(model)
        return null
      }),
    clearCache: (url) =>
      answer('storage', () =>
        ready()
          .clearCache(url)
          .then(() => null),
      ),
    async submit(request, port) {
      const emit = (event: RequestEvent) => {
        port.postMessage(event)
        if (event.type !== 'delta') port.close()
      }
      let cancel: Cancel = () => {}
      port.onmessage = ({ data }: MessageEvent<RequestCommand>) => data.type === 'cancel' && cancel()
      try {
        cancel = ready().submit(request, emit)
      } catch (error) {
        emit({ type: 'error', error: toWireError(error, 'bad_request') })
      }
    },
  }
  expose(api)
}

async function answer<T>(fallback: ErrorCode, work: () => Promise<T> | T): Promise<Answer<T>> {
  try {
    return { ok: true, value: await work() }
  } catch (error) {
    return { ok: false, error: toWireError(error, fallback) }
  }
}

/** Resolves once the lock is held. Without Web Locks (insecure contexts) a worker that dies silently is not noticed. */
function holdLifeLock(name: string): Promise<void> {
  if (navigator.locks === undefined) return Promise.resolve()
  return new Promise((resolve) => {
    void navigator.locks.request(name, () => {
      resolve()
      return new Promise(() => {}) // held until the worker's end
    })
  })
}

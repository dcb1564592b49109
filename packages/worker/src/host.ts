import { expose } from 'comlink'
import type { ModelRepository, SavedSessions } from '@tabserve/runtime'
import type { WorkerExtensions } from '@tabserve/runtime/extensions'
import type { EngineApi } from '@tabserve/protocol'
import { EngineError, answer } from '@tabserve/protocol'
import { servesAsHelper } from '@tabserve/runtime'
import { modelsApi } from './models-api.ts'
import { openRepository } from './open-repository.ts'
import { OpenRequests } from './open-requests.ts'
import { Server } from './server.ts'
import { sessionsApi } from './sessions-api.ts'
import { Telemetry } from './telemetry.ts'
import { withProgress } from './with-progress.ts'

/**
 * Exposes one `Server` to the page that made this worker. Called once, by the worker's entry file, which its helpers run too.
 * @param extensions handlers and hooks of the page's own worker file.
 */
export function startWorker(extensions: WorkerExtensions = {}): void {
  if (servesAsHelper()) return
  let server: Server | undefined
  let stored: { readonly repository: ModelRepository; readonly sessions: SavedSessions } | undefined
  let converter = ''
  const requests = new OpenRequests()
  const telemetry = new Telemetry()
  const ready = () => {
    if (server === undefined) throw notConfigured()
    return server
  }
  const store = () => {
    if (stored === undefined) throw notConfigured()
    return stored
  }

  const api: EngineApi = {
    configure: (config) =>
      answer('backend_failed', async () => {
        converter = config.assets.converter
        stored = await openRepository(config.storage)
        server = new Server(config, stored.repository, stored.sessions, telemetry, extensions)
        await holdLifeLock(config.lifeLock)
        return server.device.report
      }),
    ...modelsApi(
      () => store().repository,
      () => converter,
    ),
    ...sessionsApi(ready, () => store().sessions),
    load: (request, port) =>
      answer('backend_failed', () =>
        withProgress(port, (onProgress, signal) => ready().load(request, onProgress, signal)),
      ),
    unload: (model) =>
      answer('backend_failed', () =>
        ready()
          .unload(model)
          .then(() => null),
      ),
    list: () => answer('backend_failed', () => ready().list()),
    describe: (model) => answer('backend_failed', () => ready().describe(model)),
    stats: (model) => answer('backend_failed', () => ready().stats(model)),
    tokenize: (request) => answer('backend_failed', () => ready().tokenize(request)),
    tokenTexts: (model, tokens) => answer('backend_failed', () => ready().tokenTexts(model, tokens)),
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
    sleep: (model) =>
      answer('backend_failed', () =>
        ready()
          .sleep(model)
          .then(() => null),
      ),
    wake: (model) => answer('backend_failed', () => ready().wake(model)),
    submit: (request, port, id, isCancelled) =>
      requests.open(id, port, (emit) => ready().submit({ requestId: id, ...request }, emit), isCancelled),
    cancel: async (id) => requests.cancel(id),
    putOff: async (id) => requests.putOff(id),
    observe: (worker, port, options) =>
      answer('backend_failed', () => {
        telemetry.observe(worker, port, options)
        return null
      }),
    pulse: async () => server?.pulse() ?? { busy: false, progress: 0 },
  }
  expose(api)
}

function notConfigured(): EngineError {
  return new EngineError('backend_failed', 'The worker was not configured.')
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

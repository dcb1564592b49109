import type { Answer, ErrorCode, HubApi } from '@tabserve/protocol'
import { answer } from '@tabserve/protocol'
import type { Hub } from './hub.ts'
import type { RepeatableApi } from './ask-again.ts'
import { askAgain } from './ask-again.ts'
import { handOver } from './link.ts'

/** A hub as its own tab and others call it: what goes wrong is an answer, too. */
export function hubApi(hub: Hub): HubApi {
  const done = (code: ErrorCode, work: () => Promise<void> | void) =>
    answer(code, async () => {
      await work()
      return null
    })
  /** Storage is every worker's: any of them answers. */
  const worker = <T>(call: (api: RepeatableApi) => Promise<Answer<T>>): Promise<Answer<T>> =>
    answer('storage', () => askAgain(() => hub.worker(), call))
  return {
    device: () => answer('engine_lost', () => hub.device),
    load: (request, scaling, port) => answer('backend_failed', () => hub.load(request, scaling, port)),
    unload: (model) => done('backend_failed', () => hub.unload(model)),
    scale: (model, replicas) => answer('backend_failed', () => hub.scale(model, replicas)),
    list: () => answer('backend_failed', () => hub.list()),
    describe: (model) => answer('backend_failed', () => hub.describe(model)),
    stats: (model) => answer('backend_failed', () => hub.stats(model)),
    tokenize: (request) => answer('backend_failed', () => hub.tokenize(request)),
    tokenTexts: (model, tokens) => answer('backend_failed', () => hub.tokenTexts(model, tokens)),
    resetPrefixCache: (model) => done('backend_failed', () => hub.resetPrefixCache(model)),
    sleep: (model, options) => answer('backend_failed', () => hub.sleep(model, options)),
    wake: (model) => answer('backend_failed', () => hub.wake(model)),
    health: () => answer('backend_failed', () => hub.health()),
    held: () => answer('backend_failed', () => hub.held()),
    submit: (request, port, id, isCancelled) =>
      answer('bad_request', () => hub.submit(request, port, id, isCancelled)),
    observe: (port, options) => done('backend_failed', () => hub.observe(port, options)),
    cancel: (id) => done('bad_request', () => hub.cancel(id)),
    saveSession: (request) => answer('backend_failed', () => hub.saveSession(request)),
    restoreSession: (request) => answer('backend_failed', () => hub.restoreSession(request)),
    shareSession: (model, from, to) => done('backend_failed', () => hub.shareSession(model, from, to)),
    releaseSession: (model, session) => done('backend_failed', () => hub.releaseSession(model, session)),
    listSessions: () => worker((api) => api.listSessions()),
    deleteSession: (name) => worker((api) => api.deleteSession(name)),
    clearCache: (url) => worker((api) => api.clearCache(url)),
    listStored: () => worker((api) => api.listStored()),
    storedStatus: (source) => worker((api) => api.storedStatus(source)),
    prefetch: (source, port) =>
      // Once: the port goes with the first worker that is asked.
      answer('storage', async () =>
        (await hub.worker()).link.call((api) => api.prefetch(source, handOver(port))),
      ),
    convert: (request, port) =>
      answer('backend_failed', async () => {
        const converter = await hub.worker()
        return converter.loading(() => converter.link.call((api) => api.convert(request, handOver(port))))
      }),
    verifyStored: (url) => worker((api) => api.verifyStored(url)),
    setPinned: (url, isPinned) => worker((api) => api.setPinned(url, isPinned)),
    evictStored: (url) => worker((api) => api.evictStored(url)),
    removeStored: (url) => worker((api) => api.removeStored(url)),
    storage: () => worker((api) => api.storage()),
  }
}

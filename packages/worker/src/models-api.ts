import type { ModelsApi } from '@tabserve/protocol'
import { answer } from '@tabserve/protocol'
import type { ModelRepository } from '@tabserve/runtime'
import { convertModel } from './convert-model.ts'
import { withProgress } from './with-progress.ts'

/** The weight store's models, for the page. */
export function modelsApi(repository: () => ModelRepository, converter: () => string): ModelsApi {
  return {
    listStored: () => answer('storage', () => repository().list()),
    storedStatus: (source) => answer('storage', () => repository().status(source)),
    prefetch: (source, port) =>
      answer('storage', () =>
        withProgress(port, (onProgress, signal) => repository().prefetch(source, { onProgress, signal })),
      ),
    convert: (request, port) =>
      answer('backend_failed', () =>
        withProgress(port, (onProgress, signal) =>
          convertModel(repository(), converter(), request, onProgress, signal),
        ),
      ),
    verifyStored: (url) => answer('storage', () => repository().verify(url)),
    setPinned: (url, isPinned) =>
      answer('storage', () =>
        repository()
          .setPinned(url, isPinned)
          .then(() => null),
      ),
    evictStored: (url) =>
      answer('storage', () =>
        repository()
          .evict(url)
          .then(() => null),
      ),
    removeStored: (url) =>
      answer('storage', () =>
        repository()
          .clear(url)
          .then(() => null),
      ),
    storage: () => answer('storage', () => repository().storage()),
  }
}

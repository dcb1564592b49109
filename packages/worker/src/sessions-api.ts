import type { SessionsApi } from '@tabserve/protocol'
import { answer } from '@tabserve/protocol'
import type { SavedSessions } from '@tabserve/runtime'
import type { Server } from './server.ts'

/** The sessions of a worker's models and of its store, for the page. */
export function sessionsApi(server: () => Server, saved: () => SavedSessions): SessionsApi {
  return {
    saveSession: (request) => answer('backend_failed', () => server().saveSession(request)),
    restoreSession: (request) => answer('backend_failed', () => server().restoreSession(request)),
    shareSession: (model, from, to) =>
      answer('backend_failed', () => {
        server().shareSession(model, from, to)
        return null
      }),
    releaseSession: (model, session) =>
      answer('backend_failed', () => {
        server().releaseSession(model, session)
        return null
      }),
    listSessions: () => answer('storage', () => saved().list()),
    deleteSession: (name) =>
      answer('storage', () =>
        saved()
          .delete(name)
          .then(() => null),
      ),
  }
}

import type { GenerateRequest, ModelInfo, SavedSession, SessionState } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'
import type { GenerateOptions } from '../client-options.ts'
import type { Generation } from '../generation.ts'
import type { Host } from '../hub/host.ts'
import { startGeneration } from '../start-generation.ts'
import { refuse } from '../unknown-options.ts'
import type { RestoreOptions } from './session.ts'
import { Session } from './session.ts'
import type { CheckedSession, SessionOptions } from './session-options.ts'
import { checkedSession } from './session-options.ts'

/** What sessions need of their client. */
export interface SessionsPorts {
  readonly host: Pick<Host, 'call'>
  submit(request: GenerateRequest, listener: Listener): () => void
  /** The version that a name stands for now, `name@version` where one is known. */
  versionOf(name: string, stickyKey: string | undefined): string
}

/** How a saved session is opened. */
export interface OpenSavedOptions
  extends RestoreOptions, Pick<SessionOptions, 'contextOverflow' | 'onContextOverflow'> {
  /** Default: the version that it was saved with. */
  readonly model?: string
}

/** The sessions of a client that are open, and those that the browser's storage keeps. */
export class Sessions {
  readonly #ports: SessionsPorts
  readonly #open = new Map<string, Session>()

  constructor(ports: SessionsPorts) {
    this.#ports = ports
  }

  /** What was saved, the last used first. */
  list(): Promise<readonly SavedSession[]> {
    return this.#ports.host.call((api) => api.listSessions())
  }

  /**
   * Opens a saved session where it was: its KV comes out of the storage, and its text is not read again. Its model must be loaded. Throws
   * `session_not_found`, `model_not_loaded`; `session_mismatch` where the model, its version or the layout of its KV is another, `integrity` where it is damaged.
   */
  async restore(name: string, options: OpenSavedOptions = {}): Promise<Session> {
    const { model, recompute = false, contextOverflow, onContextOverflow, ...unknown } = options
    refuse(unknown, 'restore')
    const opened = await this.open({
      model: model ?? (await this.#saved(name)).model,
      ...(contextOverflow === undefined ? {} : { contextOverflow }),
      ...(onContextOverflow === undefined ? {} : { onContextOverflow }),
    })
    try {
      await opened.restore(name, { recompute })
      return opened
    } catch (error) {
      opened.destroy()
      throw error
    }
  }

  /** Forgets a saved session; harmless where there is none. */
  async delete(name: string): Promise<void> {
    await this.#ports.host.call((api) => api.deleteSession(name))
  }

  /** See `Client.session`. */
  async open(options: SessionOptions): Promise<Session> {
    const checked = checkedSession(options)
    const version = this.#ports.versionOf(checked.model, checked.stickyKey)
    const info = await this.#ports.host.call((api) => api.describe(version))
    return this.#make(info, checked)
  }

  /** A request in the words of `Client.generate` to an open session: what it brings is new in it. */
  ask(id: string, options: Omit<GenerateOptions, 'session' | 'stickyKey'>): Generation {
    const { model, messages, prompt, promptTokens, cacheSalt, contextOverflow, ...asked } = options
    try {
      const session = this.#find(id, model)
      const own = Object.entries({ promptTokens, cacheSalt, contextOverflow })
      const param = own.find(([, value]) => value !== undefined)?.[0]
      if (param !== undefined)
        throw new EngineError('bad_request', `${param} cannot be given to a session.`, { param })
      if (messages !== undefined && prompt !== undefined)
        throw new EngineError('bad_request', 'A session is asked with messages or a prompt, not both.')
      return messages === undefined ? session.generate(prompt, asked) : session.chat(messages, asked)
    } catch (error) {
      return startGeneration(undefined, () => {
        throw error
      })
    }
  }

  /** Throws `session_not_found`; `bad_request` for one of another model. @param model a name of its model. */
  #find(id: string, model: string): Session {
    const session = this.#open.get(id)
    if (session === undefined)
      throw new EngineError('session_not_found', `No session ${JSON.stringify(id)} is open.`, {
        param: 'session',
      })
    if (model !== session.model && this.#ports.versionOf(model, undefined) !== session.model)
      throw new EngineError('bad_request', `The session is of ${session.model}, not of ${model}.`, {
        param: 'model',
      })
    return session
  }

  async #saved(name: string): Promise<SavedSession> {
    const saved = (await this.list()).find((session) => session.name === name)
    if (saved !== undefined) return saved
    throw new EngineError('session_not_found', `There is no saved session ${JSON.stringify(name)}.`)
  }

  #make({ id: model, contextLength }: ModelInfo, checked: CheckedSession): Session {
    const { sampling, seed, cacheSalt, contextOverflow = 'error', onContextOverflow = () => {} } = checked
    const state: SessionState = {
      tokens: [],
      sampling,
      seed,
      numAnswers: 0,
      ...(cacheSalt === undefined ? {} : { cacheSalt }),
    }
    const { host } = this.#ports
    const ports = {
      host,
      submit: (request: GenerateRequest, listener: Listener) => this.#ports.submit(request, listener),
      onOpen: (session: Session) => void this.#open.set(session.id, session),
      onEnd: (session: Session) => void this.#open.delete(session.id),
    }
    return new Session(ports, { model, contextLength, contextOverflow, onContextOverflow }, state)
  }
}

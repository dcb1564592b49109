import { EngineError } from '@tabserve/protocol'
import type { LocalFetch } from '../http/serve-routes.ts'
import type { ServedClient } from '../served-client.ts'
import type { ForwardedRequest, PageMessage, Question, WorkerMessage } from './wire.ts'
import { isQuestion } from './wire.ts'

/** Which service worker brings the requests of the origin. */
export interface OriginServerOptions {
  /** Address of the service worker's script, which decides its scope; it is registered. Default: the page has registered one itself. */
  readonly serviceWorker?: string
  /** `module` for a script with imports, as bundlers serve it while developing. Default `classic`. */
  readonly type?: WorkerType
}

/** How long a page waits that lacks the model, so that one that has it comes first. */
const MODESTY_MS = 100

/** A page's part in serving its whole origin: it answers what the service worker forwards. Ends with the page. */
export class OriginServer {
  readonly #client: Pick<ServedClient, 'list'> & { readonly fetch: LocalFetch }
  readonly #lifeLock: string
  readonly #stopped = new AbortController()

  /** Resolves when this page's own requests go through the service worker. Throws `backend_failed` where there are none, or the script fails, `bad_request` where none is registered. */
  static async start(
    client: Pick<ServedClient, 'list'> & { readonly fetch: LocalFetch },
    { serviceWorker, type = 'classic' }: OriginServerOptions = {},
  ): Promise<OriginServer> {
    const container = navigator.serviceWorker as ServiceWorkerContainer | undefined
    if (container === undefined)
      throw new EngineError(
        'backend_failed',
        'This page has no service workers: they need https or localhost.',
      )
    if (serviceWorker !== undefined) await register(container, serviceWorker, type)
    else if ((await container.getRegistration()) === undefined)
      throw new EngineError(
        'bad_request',
        'No service worker is registered for this page: give serveOrigin the address of one as serviceWorker.',
      )
    const server = new OriginServer(client)
    await server.#hold()
    container.addEventListener('message', server.#hear, { signal: server.#stopped.signal })
    container.startMessages()
    await controlled(container)
    return server
  }

  private constructor(client: Pick<ServedClient, 'list'> & { readonly fetch: LocalFetch }) {
    this.#client = client
    this.#lifeLock = `tabserve-page ${crypto.getRandomValues(new Uint32Array(4)).join('-')}`
  }

  /** Answers no more; what is being answered fails. */
  stop(): void {
    this.#stopped.abort()
  }

  readonly #hear = ({ data, ports: [port] }: MessageEvent<unknown>): void => {
    if (isQuestion(data) && port !== undefined) void this.#offer(data, port)
  }

  async #offer({ model }: Question, port: MessagePort): Promise<void> {
    const abort = new AbortController()
    port.onmessage = ({ data }: MessageEvent<WorkerMessage>) => {
      if (data.type === 'cancel') abort.abort()
      else void this.#answer(data.request, port, AbortSignal.any([abort.signal, this.#stopped.signal]))
    }
    if (!(await this.#holds(model))) await new Promise((resolve) => setTimeout(resolve, MODESTY_MS))
    say(port, { type: 'offer', lifeLock: this.#lifeLock })
  }

  async #holds(model: string | undefined): Promise<boolean> {
    // A client without a worker answers as well as it can: with the error that says so.
    const loaded = await this.#client.list().catch(() => [])
    return model === undefined
      ? loaded.length > 0
      : loaded.some(({ id, manifest }) => id === model || manifest.name === model)
  }

  async #answer(
    { url, method, headers, body }: ForwardedRequest,
    port: MessagePort,
    signal: AbortSignal,
  ): Promise<void> {
    const init: RequestInit = { method, headers: headers.map(([name, value]) => [name, value]), signal }
    try {
      const response = await this.#client.fetch(url, body === '' ? init : { ...init, body })
      say(port, { type: 'head', status: response.status, headers: [...response.headers] })
      for await (const bytes of response.body ?? []) say(port, { type: 'chunk', bytes })
      say(port, { type: 'end' })
    } catch (error) {
      say(port, { type: 'failed', message: error instanceof Error ? error.message : String(error) })
    }
  }

  /** Resolves once the lock is held; it falls when the page goes or stops serving. */
  #hold(): Promise<void> {
    return new Promise((resolve) => {
      void navigator.locks.request(this.#lifeLock, () => {
        resolve()
        return new Promise<void>((release) => this.#stopped.signal.addEventListener('abort', () => release()))
      })
    })
  }
}

function say(port: MessagePort, message: PageMessage): void {
  port.postMessage(message)
}

async function register(container: ServiceWorkerContainer, script: string, type: WorkerType): Promise<void> {
  try {
    await container.register(script, { type })
  } catch (cause) {
    const message = `The service worker ${script} could not be registered: ${String(cause)}`
    throw new EngineError('backend_failed', message, { cause })
  }
}

async function controlled(container: ServiceWorkerContainer): Promise<void> {
  // A page outside the worker's scope serves others all the same; for itself it would wait for ever.
  if ((await container.getRegistration()) === undefined) return
  await container.ready
  if (container.controller !== null) return
  // A worker that claims its pages says so soon; one that does not controls them after a reload, and other pages at once.
  await new Promise<void>((resolve) => {
    container.addEventListener('controllerchange', () => resolve(), { once: true })
    setTimeout(resolve, 1000)
  })
}

import type { ForwardedRequest, PageMessage, Question, WorkerMessage } from './wire.ts'
import type { PageHandle } from './worker-scope.ts'

/** A page that has offered to answer. */
export interface Offer {
  readonly port: MessagePort
  readonly lifeLock: string
}

/** The first page that offers, or `undefined` when none does within `waitMs`. */
export function firstOffer(
  pages: readonly PageHandle[],
  question: Question,
  waitMs: number,
): Promise<Offer | undefined> {
  return new Promise((resolve) => {
    const ports: MessagePort[] = []
    let isChosen = false
    const choose = (offer: Offer | undefined) => {
      if (isChosen) return
      isChosen = true
      clearTimeout(timer)
      for (const port of ports) if (port !== offer?.port) port.close()
      resolve(offer)
    }
    const timer = setTimeout(choose, waitMs, undefined)
    for (const page of pages) {
      const { port1, port2 } = new MessageChannel()
      ports.push(port1)
      port1.onmessage = ({ data }: MessageEvent<PageMessage>) => {
        if (data.type === 'offer') choose({ port: port1, lifeLock: data.lifeLock })
      }
      page.postMessage(question, [port2])
    }
    if (pages.length === 0) choose(undefined)
  })
}

/**
 * Has a page answer a request. `response` rejects when the page goes or fails before the head; later the body fails. `done` resolves
 * with the last word.
 */
export function forward(
  { port, lifeLock }: Offer,
  request: ForwardedRequest,
  signal: AbortSignal,
  locks: LockManager,
): { readonly response: Promise<Response>; readonly done: Promise<void> } {
  const ended = new AbortController()
  const say = (message: WorkerMessage) => port.postMessage(message)
  const cancel = () => {
    say({ type: 'cancel' })
    ended.abort()
  }
  const response = new Promise<Response>((resolve, reject) => {
    let body: ReadableStreamDefaultController<Uint8Array> | undefined
    const stream = new ReadableStream<Uint8Array>({ start: (controller) => void (body = controller), cancel })
    const fail = (error: Error) => {
      if (ended.signal.aborted) return
      ended.abort()
      reject(error)
      body?.error(error)
    }
    port.onmessage = ({ data }: MessageEvent<PageMessage>) => {
      if (ended.signal.aborted) return
      if (data.type === 'head')
        resolve(
          new Response(stream, {
            status: data.status,
            headers: data.headers.map(([name, value]) => [name, value]),
          }),
        )
      else if (data.type === 'chunk') body?.enqueue(data.bytes)
      else if (data.type === 'failed') fail(new TypeError(data.message))
      else if (data.type === 'end') {
        body?.close()
        ended.abort()
      }
    }
    signal.addEventListener('abort', () => {
      if (ended.signal.aborted) return
      cancel()
      reject(signal.reason)
    })
    // Whoever is granted the page's lock knows that the page is gone.
    const gone = () => fail(new TypeError('The page that was answering has gone.'))
    locks.request(lifeLock, { signal: ended.signal }, gone).catch(() => {}) // rejects when the answer ended first
    say({ type: 'request', request })
  })
  const done = new Promise<void>((resolve) =>
    ended.signal.addEventListener('abort', () => {
      port.close()
      resolve()
    }),
  )
  return { response, done }
}

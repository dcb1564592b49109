/** What a service worker asks every page: who answers this? Comes with a port, on which the rest is said. */
export interface Question {
  readonly type: 'tabserve-question'
  /** The model that the request names. */
  readonly model?: string
}

/** What a page says on the port, in this order. `end` and `failed` are last words. */
export type PageMessage =
  /** `lifeLock`: a Web Lock that the page holds while it lives. */
  | { readonly type: 'offer'; readonly lifeLock: string }
  | {
      readonly type: 'head'
      readonly status: number
      readonly headers: readonly (readonly [string, string])[]
    }
  | { readonly type: 'chunk'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'end' }
  | { readonly type: 'failed'; readonly message: string }

/** What the service worker says on the port. Who is not chosen hears nothing more. */
export type WorkerMessage =
  { readonly type: 'request'; readonly request: ForwardedRequest } | { readonly type: 'cancel' }

export interface ForwardedRequest {
  readonly url: string
  readonly method: string
  readonly headers: readonly (readonly [string, string])[]
  /** Empty: none. */
  readonly body: string
}

export function isQuestion(data: unknown): data is Question {
  return typeof data === 'object' && data !== null && 'type' in data && data.type === 'tabserve-question'
}

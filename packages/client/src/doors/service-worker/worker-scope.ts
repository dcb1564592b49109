/** The part of a service worker's global scope that is used here: TypeScript has it in a library that excludes the page's. */
export interface WorkerScope {
  readonly clients: {
    matchAll(options: { type: 'window'; includeUncontrolled: boolean }): Promise<readonly PageHandle[]>
    claim(): Promise<void>
  }
  readonly location: { readonly origin: string; readonly href: string }
  readonly navigator: { readonly locks: LockManager; readonly userAgentData?: BrowserFacts }
  /** Events of the scope that are used here. */
  addEventListener(type: 'fetch', listener: (event: FetchEvent) => void): void
  addEventListener(type: 'install' | 'activate', listener: (event: LifeEvent) => void): void
  /** Takes the place of the version before at once. */
  skipWaiting(): Promise<void>
}

/** What Chromium says of itself. */
export interface BrowserFacts {
  readonly brands: readonly { readonly brand: string; readonly version: string }[]
  readonly mobile: boolean
}

export interface PageHandle {
  postMessage(message: unknown, transfer: Transferable[]): void
}

export interface LifeEvent {
  waitUntil(work: Promise<unknown>): void
}

export interface FetchEvent extends LifeEvent {
  readonly request: Request
  respondWith(response: Promise<Response>): void
}

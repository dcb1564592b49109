import type { Answer } from './api.ts'
import type { RequestEvent } from './event.ts'
import type { GenerateRequest } from './request.ts'
import type { ServedBy } from './served-by.ts'

/**
 * What the holder of a granted port may say. Written by hand, not Comlink's: whoever holds the port need not be trusted, and Comlink lets its caller
 * reach everything that hangs on what is exposed.
 */
export type GrantCommand =
  | { readonly type: 'list'; readonly call: number }
  /**
   * Everything is said on `port`, a refusal too, as `GrantedEvent`s; there the holder may say `RequestCommand`. `isCancelled`: it was cancelled before
   * it was sent.
   */
  | {
      readonly type: 'submit'
      readonly request: GenerateRequest
      readonly stickyKey?: string
      readonly port: MessagePort
      readonly isCancelled: boolean
    }

/** What the page that granted says back. */
export type GrantEvent =
  | { readonly type: 'answer'; readonly call: number; readonly answer: Answer<unknown> }
  | { readonly type: 'revoked' }

/** What a granted request says on its port: a request's events, and before the first of them who answers; again where a server takes over. */
export type GrantedEvent = RequestEvent | { readonly type: 'served-by'; readonly server: ServedBy }

/** A model as the holder of a grant sees it. */
export interface GrantedModel {
  /** `name@version`, or an alias. */
  readonly id: string
  /** Of an alias the least of its versions. */
  readonly contextLength: number
  readonly hasChatTemplate: boolean
}

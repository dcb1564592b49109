import type { Answer } from './api.ts'
import type { Request } from './request.ts'

/**
 * What the holder of a granted port may say. Written by hand, not Comlink's: whoever holds the port need not be trusted, and Comlink lets its caller
 * reach everything that hangs on what is exposed.
 */
export type GrantCommand =
  | { readonly type: 'list'; readonly call: number }
  /** Answered as `HubApi.submit` is. */
  | {
      readonly type: 'submit'
      readonly call: number
      readonly id: string
      readonly request: Request
      readonly port: MessagePort
      readonly isCancelled: boolean
    }
  | { readonly type: 'cancel'; readonly call: number; readonly id: string }

/** What the page that granted says back. */
export type GrantEvent =
  | { readonly type: 'answer'; readonly call: number; readonly answer: Answer<unknown> }
  | { readonly type: 'revoked' }

/** A model as the holder of a grant sees it. */
export interface GrantedModel {
  /** `name@version`. */
  readonly id: string
  readonly contextLength: number
  readonly hasChatTemplate: boolean
}

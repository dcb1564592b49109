/**
 * The browser's `LanguageModel` over a model of ours.
 *
 * @module tabserve/prompt-api
 */

export { LanguageModel } from '@tabserve/client/prompt-api'
export type * from '@tabserve/client/prompt-api'

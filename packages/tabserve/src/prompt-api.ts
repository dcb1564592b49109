export { LanguageModel } from '@tabserve/client/prompt-api'
export type * from '@tabserve/client/prompt-api'

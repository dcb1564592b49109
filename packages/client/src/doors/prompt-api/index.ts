export { LanguageModel } from './language-model.ts'
export type { Availability, CreateOptions, LanguageModelClient } from './language-model.ts'
export type { PromptInput, PromptMessage } from './prompts.ts'
export type { LanguageModelSession, PromptOptions } from './session.ts'

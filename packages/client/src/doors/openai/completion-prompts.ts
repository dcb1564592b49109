import type { Fields } from './fields.ts'
import { wrong } from './fields.ts'
import type { TokenTexts } from './token-texts.ts'

/** One prompt as the engine takes it. */
export type Prompt = { readonly prompt: string } | { readonly promptTokens: readonly number[] }

/** Throws `bad_request`. */
export function promptsOf({ prompt }: Fields): readonly Prompt[] {
  if (typeof prompt === 'string') return [{ prompt }]
  if (!Array.isArray(prompt) || prompt.length === 0)
    throw wrong('prompt', 'must be a text, a list of texts, token ids, or a list of lists of them.')
  const list: readonly unknown[] = prompt
  if (list.every(isNumber)) return [{ promptTokens: list }]
  return list.map((entry, index): Prompt => {
    if (typeof entry === 'string') return { prompt: entry }
    if (Array.isArray(entry) && entry.every(isNumber)) return { promptTokens: entry }
    throw wrong(`prompt[${index}]`, 'must be a text or a list of token ids.')
  })
}

export async function promptText(prompt: Prompt, texts: TokenTexts): Promise<string> {
  return 'prompt' in prompt ? prompt.prompt : texts.join(prompt.promptTokens)
}

function isNumber(value: unknown): value is number {
  return typeof value === 'number'
}

import { Tokenizer } from '@huggingface/tokenizers'
import { ConvertError } from '../convert-error.ts'
import type { ModelTokenizer } from '../tokenizer/model-tokenizer.ts'

/** Token ids of a text, with the model's first token where it wants one. */
export function tokenize({ json, configJson, addBos, bosTokenId }: ModelTokenizer, text: string): number[] {
  try {
    const tokenizer = new Tokenizer(JSON.parse(json), JSON.parse(configJson))
    const { ids } = tokenizer.encode(text, { add_special_tokens: false })
    return addBos && bosTokenId !== undefined ? [bosTokenId, ...ids] : ids
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConvertError(`the text cannot be tokenized: ${reason}`)
  }
}

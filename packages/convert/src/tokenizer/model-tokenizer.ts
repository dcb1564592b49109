import type { Vocabulary } from './pieces.ts'
import { tokenizerFiles } from './tokenizer-files.ts'

/** The tokenizer of a model folder: two files in Hugging Face's format, and the ids that the manifest says. */
export interface ModelTokenizer {
  readonly json: string
  readonly configJson: string
  readonly bosTokenId: number | undefined
  readonly eosTokenIds: readonly number[]
  readonly addBos: boolean
}

export function vocabularyTokenizer(
  vocabulary: Vocabulary,
  contextLength: number,
  chatTemplate?: string,
): ModelTokenizer {
  const options = { contextLength, ...(chatTemplate === undefined ? {} : { chatTemplate }) }
  const { tokenizerJson, configJson } = tokenizerFiles(vocabulary, options)
  const { bosId, eosId } = vocabulary
  return { json: tokenizerJson, configJson, bosTokenId: bosId, eosTokenIds: [eosId], addBos: true }
}

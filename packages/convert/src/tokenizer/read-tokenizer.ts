import { ConvertError } from '../convert-error.ts'
import { readLlama2cTokenizer } from './llama2c-bin.ts'
import type { Vocabulary } from './pieces.ts'
import { readSentencePiece } from './sentencepiece.ts'

/** Reads whichever tokenizer file this is. A SentencePiece file begins with its first piece (field 1, tag 0x0a); a .bin with a small int32. */
export function readTokenizer(bytes: Uint8Array): Vocabulary {
  const vocabulary = looksLikeLlama2c(bytes) ? readLlama2cTokenizer(bytes) : readSentencePiece(bytes)
  const seen = new Set<string>()
  for (const { text } of vocabulary.pieces) {
    if (seen.has(text)) throw new ConvertError(`the tokenizer has the piece ${JSON.stringify(text)} twice`)
    seen.add(text)
  }
  for (const id of [vocabulary.unknownId, vocabulary.bosId, vocabulary.eosId]) {
    if (vocabulary.pieces[id] === undefined)
      throw new ConvertError(`the tokenizer has no token ${id}, which it uses`)
  }
  return vocabulary
}

/** The first piece's length field fits; in a SentencePiece file these bytes are text. */
function looksLikeLlama2c(bytes: Uint8Array): boolean {
  if (bytes.byteLength < 12) return false
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const longest = view.getInt32(0, true)
  const first = view.getInt32(8, true)
  return longest > 0 && longest < 65536 && first > 0 && first < 65536
}

import { SPACE } from './pieces.ts'
import type { Piece, Vocabulary } from './pieces.ts'

/**
 * A vocabulary of any size from 260 up that encodes any text: the bytes, then letters, then words of growing length made of them.
 * Every word is one letter more than an earlier one, so that it can be merged.
 */
export function syntheticVocabulary(size: number): Vocabulary {
  const pieces: Piece[] = [
    { text: '<unk>', kind: 'unknown', score: 0 },
    { text: '<s>', kind: 'control', score: 0 },
    { text: '</s>', kind: 'control', score: 0 },
  ]
  for (let byte = 0; byte < 256; byte++) {
    const text = `<0x${byte.toString(16).toUpperCase().padStart(2, '0')}>`
    pieces.push({ text, kind: 'byte', score: 0 })
  }
  const words: string[] = []
  for (let grown = -1; pieces.length < size; grown++) {
    const word = grown < 0 ? '' : (words[grown] as string)
    for (const letter of LETTERS) {
      if (pieces.length === size) break
      if (word !== '' && letter === SPACE) continue // a space only begins a word
      pieces.push({ text: word + letter, kind: 'text', score: -words.length })
      words.push(word + letter)
    }
  }
  return { pieces, unknownId: 0, bosId: 1, eosId: 2, dummyPrefix: true }
}

const LETTERS = [SPACE, ...'etaoinshrdlucmfwypvbgkjqxz']

import { ConvertError } from '../convert-error.ts'
import { SPACE, isBytePiece } from './pieces.ts'
import type { Piece, Vocabulary } from './pieces.ts'

/** Reads llama2.c's tokenizer.bin: int32 longest piece, then (float32 score, int32 length, UTF-8) to the end of the file. */
export function readLlama2cTokenizer(bytes: Uint8Array): Vocabulary {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const pieces: Piece[] = []
  let offset = 4
  while (offset < bytes.byteLength) {
    if (offset + 8 > bytes.byteLength) throw notTokenizer()
    const score = view.getFloat32(offset, true)
    const length = view.getInt32(offset + 4, true)
    const begin = offset + 8
    offset = begin + length
    if (length < 0 || offset > bytes.byteLength) throw notTokenizer()
    pieces.push(pieceOf(pieces.length, score, decode(bytes.subarray(begin, offset))))
  }
  if (pieces.length < 4) throw notTokenizer()
  return { pieces, unknownId: 0, bosId: 1, eosId: 2, dummyPrefix: true }
}

/** The exporter wrote the control pieces with newlines around them (`\n<s>\n`) and spaces as spaces; ids 0–2 are fixed in run.c. */
function pieceOf(id: number, score: number, text: string): Piece {
  if (id === 0) return { text: '<unk>', kind: 'unknown', score }
  if (id === 1) return { text: '<s>', kind: 'control', score }
  if (id === 2) return { text: '</s>', kind: 'control', score }
  if (isBytePiece(text)) return { text, kind: 'byte', score }
  return { text: text.replaceAll(' ', SPACE), kind: 'text', score }
}

function decode(bytes: Uint8Array): string {
  try {
    return new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)
  } catch {
    throw notTokenizer()
  }
}

function notTokenizer(): ConvertError {
  return new ConvertError('this is not a llama2.c tokenizer.bin: its pieces do not add up to the file')
}

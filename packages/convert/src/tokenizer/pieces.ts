/** What a piece of the vocabulary is for: `control` is never text, `byte` stands for one byte where no piece fits. */
export type PieceKind = 'text' | 'unknown' | 'control' | 'byte' | 'user-defined' | 'unused'

/** By SentencePiece's number of a type, which GGUF has taken over. */
export const PIECE_KINDS: Readonly<Record<number, PieceKind>> = {
  1: 'text',
  2: 'unknown',
  3: 'control',
  4: 'user-defined',
  5: 'unused',
  6: 'byte',
}

export interface Piece {
  /** Spaces as U+2581 (▁); bytes as `<0x0A>`. */
  readonly text: string
  readonly kind: PieceKind
  /** Pairs that make a piece with a higher score are merged first. */
  readonly score: number
}

/** A SentencePiece BPE vocabulary, whichever file it came from; a piece's index is its token id. */
export interface Vocabulary {
  readonly pieces: readonly Piece[]
  readonly unknownId: number
  readonly bosId: number
  readonly eosId: number
  /** Whether a space is put before the text, so that a first word is the same token as a later one. */
  readonly dummyPrefix: boolean
}

export const SPACE = '\u2581'

const BYTE = /^<0x[0-9A-F]{2}>$/

export function isBytePiece(text: string): boolean {
  return BYTE.test(text)
}

import type { Vocabulary } from '../src/tokenizer/pieces.ts'

/**
 * What `encode` of llama2.c's run.c does, as a reference: a dummy space, one token a character (bytes where there is none),
 * then again and again the merge with the best score, the leftmost of equals.
 */
export function llama2cEncode({ pieces }: Vocabulary, text: string): number[] {
  const idOf = new Map(pieces.map((piece, id) => [piece.text, id]))
  const characters = text === '' ? [] : [...`\u2581${text.replaceAll(' ', '\u2581')}`]
  const ids = characters.flatMap((character) => {
    const id = idOf.get(character)
    return id === undefined ? [...new TextEncoder().encode(character)].map((byte) => byte + 3) : [id]
  })
  for (;;) {
    let bestScore = -Infinity
    let best: { readonly at: number; readonly id: number } | undefined
    for (let at = 0; at + 1 < ids.length; at++) {
      const id = idOf.get(`${pieces[ids[at] as number]?.text}${pieces[ids[at + 1] as number]?.text}`)
      if (id === undefined || (pieces[id]?.score ?? 0) <= bestScore) continue
      bestScore = pieces[id]?.score ?? 0
      best = { at, id }
    }
    if (best === undefined) return ids
    ids.splice(best.at, 2, best.id)
  }
}

import type { Vocabulary } from './pieces.ts'

/**
 * The merge list that makes Hugging Face's BPE merge as SentencePiece does: every way to make a piece of two others, best score first.
 * Equal scores (runs of spaces in Llama 2) come in the order of their parts' ids, as in Hugging Face's own conversion of Llama 2.
 */
export function mergesOf({ pieces }: Vocabulary): [left: string, right: string][] {
  const idOf = new Map(
    pieces.flatMap((piece, id) => (piece.kind === 'text' ? [[piece.text, id] as const] : [])),
  )
  const merges: { readonly score: number; readonly left: number; readonly right: number }[] = []
  for (const [text, id] of idOf) {
    const score = pieces[id]?.score ?? 0
    for (let end = 1; end < text.length; end++) {
      const left = idOf.get(text.slice(0, end))
      const right = idOf.get(text.slice(end))
      if (left !== undefined && right !== undefined) merges.push({ score, left, right })
    }
  }
  merges.sort((a, b) => b.score - a.score || a.left - b.left || a.right - b.right)
  return merges.map(({ left, right }) => [pieces[left]?.text ?? '', pieces[right]?.text ?? ''])
}

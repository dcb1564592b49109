/** A box that may hold something; fractions of the picture. */
export interface Candidate {
  /** Of its class. */
  readonly index: number
  readonly score: number
  readonly left: number
  readonly top: number
  readonly right: number
  readonly bottom: number
}

/** The best boxes first; of two of one class that overlap more than `most`, the better one. */
export function keepBest(candidates: readonly Candidate[], most: number): Candidate[] {
  const kept: Candidate[] = []
  for (const candidate of candidates.toSorted((a, b) => b.score - a.score)) {
    const isNew = kept.every(
      (better) => better.index !== candidate.index || overlap(better, candidate) <= most,
    )
    if (isNew) kept.push(candidate)
  }
  return kept
}

/** What both cover over what either covers. */
export function overlap(a: Candidate, b: Candidate): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left)
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top)
  if (width <= 0 || height <= 0) return 0
  const both = width * height
  return both / (area(a) + area(b) - both)
}

function area({ left, top, right, bottom }: Candidate): number {
  return (right - left) * (bottom - top)
}

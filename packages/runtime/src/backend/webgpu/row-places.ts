/** What must be copied between rows of the pool, in order. `scratch` is one row beside it; `positions` [begin, end) of every head. */
export type RowMove =
  | { readonly type: 'swap'; readonly left: number; readonly right: number }
  | { readonly type: 'copy'; readonly from: number; readonly to: number; readonly end: number }
  | { readonly type: 'load'; readonly row: number; readonly begin: number; readonly end: number }
  | { readonly type: 'save'; readonly row: number; readonly begin: number; readonly end: number }

/** Where the runs of a step compute, and what to copy before and after it. */
export interface Placement {
  /** `front`: in the first rows of the pool. `scratch`: in the row beside it. */
  readonly where: 'front' | 'scratch'
  /** Of each row of the step: its index in that place. */
  readonly indices: readonly number[]
  readonly before: readonly RowMove[]
  readonly after: readonly RowMove[]
}

/**
 * Which row of the pool holds which of the engine's rows. A tensor over a GPU buffer begins at the buffer's begin, so a step computes in the first
 * rows; rows trade places so that they are there. A prompt's chunk beside answers that go on would trade back and forth: it computes in
 * the scratch row, and only its new positions are copied.
 *
 * Invariant: `#places` is a permutation, and `#scratch.valid` positions of the scratch row are those of the row that it names.
 */
export class RowPlaces {
  readonly #places: number[]
  #scratch: { row: number; valid: number } | undefined

  constructor(rows: number) {
    this.#places = Array.from({ length: rows }, (_, row) => row)
  }

  /** @param lengths valid positions of each row after the step. @param width tokens a row in it. */
  place(firstRow: number, lengths: readonly number[], width: number): Placement {
    const rows = lengths.map((_, index) => this.placeOf(firstRow + index))
    const [row = 0, length = 0] = [rows[0], lengths[0]]
    if (rows.length === 1 && row > 0 && width > 1) return this.#inScratch(row, length - width, length)
    const before = this.#bringToFront(firstRow, rows.length)
    const indices = lengths.map((_, index) => this.placeOf(firstRow + index))
    for (const [index, place] of indices.entries()) this.#overwrite(place, (lengths[index] ?? 0) - width)
    return { where: 'front', indices, before, after: [] }
  }

  /** Rows that change places only change names. */
  swap(left: number, right: number): void {
    const place = this.placeOf(left)
    this.#places[left] = this.placeOf(right)
    this.#places[right] = place
  }

  /** Where a row lies now. */
  placeOf(row: number): number {
    const place = this.#places[row]
    if (place === undefined) throw new Error(`no row ${row}`)
    return place
  }

  /** Where a row lies that is about to be written from elsewhere. */
  overwrite(row: number): number {
    const place = this.placeOf(row)
    this.#overwrite(place, 0)
    return place
  }

  copy(from: number, to: number, end: number): RowMove {
    const target = this.placeOf(to)
    this.#overwrite(target, 0)
    return { type: 'copy', from: this.placeOf(from), to: target, end }
  }

  #inScratch(row: number, from: number, end: number): Placement {
    const valid = this.#scratch?.row === row ? this.#scratch.valid : 0
    const before: RowMove[] = valid < from ? [{ type: 'load', row, begin: valid, end: from }] : []
    this.#scratch = { row, valid: end }
    return {
      where: 'scratch',
      indices: [0],
      before,
      after: [{ type: 'save', row, begin: from, end }],
    }
  }

  #bringToFront(firstRow: number, count: number): RowMove[] {
    const moves: RowMove[] = []
    const wanted = Array.from({ length: count }, (_, index) => firstRow + index)
    const taken = new Set(wanted.map((row) => this.placeOf(row)).filter((place) => place < count))
    let hole = 0
    for (const row of wanted) {
      const left = this.placeOf(row)
      if (left < count) continue
      while (taken.has(hole)) hole++
      taken.add(hole)
      moves.push({ type: 'swap', left, right: hole })
      this.#places[this.#places.indexOf(hole)] = left
      this.#places[row] = hole
      if (this.#scratch?.row === left) this.#scratch.row = hole
      else if (this.#scratch?.row === hole) this.#scratch.row = left
    }
    return moves
  }

  /** What the scratch row has of a row is right up to where the row is written. */
  #overwrite(place: number, from: number): void {
    if (this.#scratch?.row === place) this.#scratch.valid = Math.min(this.#scratch.valid, from)
  }
}

import { expect, test } from 'playwright/test'
import { Random } from '../../packages/engine/src/random.ts'
import type { RowMove } from '../../packages/runtime/src/backend/webgpu/row-places.ts'
import { RowPlaces } from '../../packages/runtime/src/backend/webgpu/row-places.ts'

const ROWS = 5
const CAPACITY = 24

/** Two thousand steps and copies on rows that hold numbers: what the engine's rows hold is always what was written into them. */
test('wherever rows lie, each holds what was written into it', () => {
  const random = new Random(7)
  const below = (limit: number) => Math.floor(random.next() * limit)
  const places = new RowPlaces(ROWS)
  const pool = Array.from({ length: ROWS }, () => new Array<number>(CAPACITY).fill(-1))
  const scratch = new Array<number>(CAPACITY).fill(-1)
  const wanted: number[][] = Array.from({ length: ROWS }, () => [])
  const carryOut = (move: RowMove) => {
    if (move.type === 'swap') [pool[move.left], pool[move.right]] = [pool[move.right]!, pool[move.left]!]
    else if (move.type === 'copy') pool[move.to]!.splice(0, move.end, ...pool[move.from]!.slice(0, move.end))
    else {
      const { row, begin, end } = move
      const [source, target] = move.type === 'load' ? [pool[row]!, scratch] : [scratch, pool[row]!]
      target.splice(begin, end - begin, ...source.slice(begin, end))
    }
  }
  let value = 0
  for (let step = 0; step < 2000; step++) {
    const kind = below(4)
    if (kind === 0) {
      const [left, right] = [below(ROWS), below(ROWS)]
      if (left === right) continue
      places.swap(left, right)
      ;[wanted[left], wanted[right]] = [wanted[right]!, wanted[left]!]
    } else if (kind === 1) {
      const [from, to] = [below(ROWS), below(ROWS)]
      const end = below(wanted[from]!.length + 1)
      if (from === to || end === 0) continue
      carryOut(places.copy(from, to, end))
      wanted[to] = wanted[from]!.slice(0, end)
    } else {
      // One run of several tokens, or decode rows side by side.
      const first = below(ROWS)
      const count = kind === 2 ? 1 : 1 + below(ROWS - first)
      const width = kind === 2 ? 1 + below(5) : 1
      const rows = Array.from({ length: count }, (_, index) => first + index)
      const begins = rows.map((row) => Math.min(below(wanted[row]!.length + 1), CAPACITY - width))
      const lengths = begins.map((begin) => begin + width)
      const { where, indices, before, after } = places.place(first, lengths, width)
      before.forEach(carryOut)
      rows.forEach((row, index) => {
        const memory = where === 'scratch' ? scratch : pool[indices[index]!]!
        expect(memory.slice(0, begins[index]!)).toEqual(wanted[row]!.slice(0, begins[index]!))
        const tokens = Array.from({ length: width }, () => value++)
        memory.splice(begins[index]!, width, ...tokens)
        wanted[row] = [...wanted[row]!.slice(0, begins[index]!), ...tokens]
      })
      after.forEach(carryOut)
    }
  }
})

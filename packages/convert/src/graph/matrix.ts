import type { Q4Matrix } from '../quantization/q4-matrix.ts'

/**
 * A weight matrix [rows, columns] = [outputs, inputs], row-major: the orientation of PyTorch and Hugging Face. Its weights are read
 * when they are written, some rows at a time, so that a model may be larger than memory.
 */
export interface Matrix {
  readonly name: string
  readonly rows: number
  readonly columns: number
  /** Rows `begin` to `end` − 1 in fp32. Maybe a view of what others read too: not to be changed. */
  readonly read: (begin: number, end: number) => Float32Array
  /** The same rows in 4-bit blocks, where the source has them in blocks that need no rounding. */
  readonly blocks?: ((begin: number, end: number) => Q4Matrix) | undefined
  /** [rows], added to the product. */
  readonly bias?: Float32Array | undefined
}

export function matrixOf(name: string, rows: number, columns: number, data: Float32Array): Matrix {
  if (data.length !== rows * columns) throw new Error(`${name} is not [${rows}, ${columns}]`)
  return { name, rows, columns, read: (begin, end) => data.subarray(begin * columns, end * columns) }
}

/** Row ranges of a few megabytes that cover the matrix. */
export function* rowRanges({
  rows,
  columns,
}: Pick<Matrix, 'rows' | 'columns'>): Generator<readonly [begin: number, end: number]> {
  const step = Math.max(1, Math.trunc(ELEMENTS_AT_ONCE / columns))
  for (let begin = 0; begin < rows; begin += step) yield [begin, Math.min(rows, begin + step)]
}

const ELEMENTS_AT_ONCE = 1 << 20

/** Matrices with the same inputs stacked into one, so that a graph reads the activations once. */
export function stack(name: string, matrices: readonly Matrix[]): Matrix {
  const columns = matrices[0]?.columns ?? 0
  const rows = matrices.reduce((sum, matrix) => sum + matrix.rows, 0)
  const readers = matrices.map(({ blocks }) => blocks)
  return {
    name,
    rows,
    columns,
    read: (begin, end) =>
      joined(
        Float32Array,
        overlaps(matrices, begin, end).map(({ index, from, to }) => matrices[index]!.read(from, to)),
      ),
    blocks: readers.every((reader) => reader !== undefined)
      ? (begin, end) => {
          const parts = overlaps(matrices, begin, end).map(({ index, from, to }) => readers[index]!(from, to))
          return {
            values: joined(
              Uint8Array,
              parts.map(({ values }) => values),
            ),
            scales: joined(
              Float32Array,
              parts.map(({ scales }) => scales),
            ),
          }
        }
      : undefined,
    bias: stackedBias(matrices),
  }
}

/**
 * Each group of `from` rows becomes a group of `to`: row r of a group moves to `place(r)`, and rows where nothing lands are zero.
 * Blocks run along a row, so they move with it.
 */
export function rearrangeRows(
  matrix: Matrix,
  from: number,
  to: number,
  place: (row: number) => number,
): Matrix {
  const { columns, blocks, bias } = matrix
  const places = Int32Array.from({ length: from }, (_, row) => place(row))
  const moved = <T extends Float32Array | Uint8Array>(source: T, empty: T, width: number): T => {
    const groups = source.length / width / from
    const target = filled(empty, groups * to * width)
    for (let row = 0; row < groups * from; row++) {
      const at = Math.trunc(row / from) * to + places[row % from]!
      target.set(source.subarray(row * width, (row + 1) * width), at * width)
    }
    return target
  }
  /** Whole groups are read, and what was not asked for is cut off. */
  const groupsOf = (begin: number, end: number) => {
    const first = Math.trunc(begin / to)
    const last = Math.ceil(end / to)
    const cut = <T extends Float32Array | Uint8Array>(rows: T, width: number): T =>
      rows.subarray((begin - first * to) * width, (end - first * to) * width) as T
    return { begin: first * from, end: last * from, cut }
  }
  return {
    ...matrix,
    rows: (matrix.rows / from) * to,
    read: (begin, end) => {
      const groups = groupsOf(begin, end)
      return groups.cut(moved(matrix.read(groups.begin, groups.end), Float32Array.of(0), columns), columns)
    },
    blocks:
      blocks &&
      ((begin, end) => {
        const groups = groupsOf(begin, end)
        const { values, scales } = blocks(groups.begin, groups.end)
        return {
          values: groups.cut(moved(values, Uint8Array.of(0x88), columns / 2), columns / 2),
          scales: groups.cut(moved(scales, Float32Array.of(0), columns / 32), columns / 32),
        }
      }),
    bias: bias && moved(bias, Float32Array.of(0), 1),
  }
}

/** Each row's groups of `from` columns become groups of `to`, filled up with zeros. */
export function widenColumns(matrix: Matrix, from: number, to: number): Matrix {
  const { name, rows, bias } = matrix
  const read = (begin: number, end: number): Float32Array => {
    const data = matrix.read(begin, end)
    const widened = new Float32Array((data.length / from) * to)
    for (let at = 0; at < data.length; at += from) widened.set(data.subarray(at, at + from), (at / from) * to)
    return widened
  }
  return { name, rows, columns: (matrix.columns / from) * to, read, bias }
}

/** Which rows of which matrices the rows `begin` to `end` − 1 of their stack are. */
function overlaps(matrices: readonly Matrix[], begin: number, end: number) {
  let first = 0
  return matrices.flatMap(({ rows }, index) => {
    const from = Math.max(0, begin - first)
    const to = Math.min(rows, end - first)
    first += rows
    return from < to ? [{ index, from, to }] : []
  })
}

function stackedBias(matrices: readonly Matrix[]): Float32Array | undefined {
  if (matrices.every(({ bias }) => bias === undefined)) return undefined
  return joined(
    Float32Array,
    matrices.map(({ rows, bias }) => bias ?? new Float32Array(rows)),
  )
}

function joined<T extends Float32Array | Uint8Array>(
  kind: new (length: number) => T,
  parts: readonly T[],
): T {
  const all = new kind(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

function filled<T extends Float32Array | Uint8Array>(empty: T, length: number): T {
  const array = empty instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length)
  return array.fill(empty[0] ?? 0) as T
}

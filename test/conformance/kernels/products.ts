import type { Address, MatrixKind } from '@tabserve/kernels'
import { MATRIX_KIND } from '@tabserve/kernels'
import { Random, expectEqual, expectNear } from './random.ts'
import type { Workspace } from './workspace.ts'

/** Rows, columns: odd ones, one row, more than a panel. */
const SHAPES = [
  [8, 32],
  [1, 64],
  [5, 96],
  [17, 32],
  [24, 160],
  [67, 288],
] as const
const ODD_SHAPES = [...SHAPES, [3, 1], [13, 5], [9, 172], [30, 33]] as const

/** A packed matrix, and its weights as they are: [rows, columns]. */
interface Packed {
  readonly matrix: Address
  readonly kind: MatrixKind
  readonly rows: number
  readonly columns: number
  readonly weights: Float64Array
}

export const productChecks = {
  '4-bit products equal a slow reference on the same quantised activations'(workspace: Workspace): void {
    for (const [rows, columns] of SHAPES) checkProduct(workspace, packUint4(workspace, rows, columns), 127)
  },
  '8-bit products equal a slow reference on the same quantised activations'(workspace: Workspace): void {
    for (const [rows, columns] of ODD_SHAPES)
      checkProduct(workspace, packInt8(workspace, rows, columns, 1), 2047)
    checkProduct(workspace, packInt8(workspace, 24, 40, 3), 2047)
  },
  '8-bit blocks with a scale each equal a slow reference'(workspace: Workspace): void {
    checkProduct(workspace, packInt8Blocks(workspace, 19, 96), 2047)
  },
  'fp32 products equal a slow reference, from rows and from transposed parts'(workspace: Workspace): void {
    for (const [rows, columns] of ODD_SHAPES)
      for (const parts of [0, 1]) checkProduct(workspace, packFloat32(workspace, rows, columns, parts), 0)
    checkProduct(workspace, packFloat32(workspace, 24, 10, 4), 0)
  },
  'fp16 products equal a slow reference'(workspace: Workspace): void {
    for (const [rows, columns] of ODD_SHAPES)
      checkProduct(workspace, packFloat16(workspace, rows, columns), 0)
  },
  'a row of activations gives the same outputs, to the bit, whatever else is in the batch'(
    workspace: Workspace,
  ): void {
    for (const pack of [packUint4, packInt8Rows, packFloat32Rows]) {
      const packed = pack(workspace, 43, 96)
      const inputs = new Random(5).floats(23 * packed.columns)
      const together = run(workspace, packed, inputs, 23)
      for (let token = 0; token < 23; token++) {
        const alone = run(workspace, packed, inputs.subarray(token * 96, (token + 1) * 96), 1)
        expectEqual(
          `token ${token}`,
          together.subarray(token * packed.rows, (token + 1) * packed.rows),
          alone,
        )
      }
    }
  },
  'a bias is added to each row, in each share of the rows'(workspace: Workspace): void {
    const bias = new Random(8).floats(21)
    const packed = packFloat32(workspace, 21, 12, 0, workspace.put(bias))
    const inputs = new Float32Array(12 * 2)
    expectEqual('bias', run(workspace, packed, inputs, 2), [...bias, ...bias])
  },
  'rows of every kind of table come out as they went in'(workspace: Workspace): void {
    for (const pack of [packUint4, packInt8Rows, packFloat32Rows, packFloat16]) {
      const { matrix, rows, columns, weights } = pack(workspace, 21, 64)
      const to = workspace.allocate(columns * 4)
      for (let row = 0; row < rows; row++) {
        workspace.kernels.embed(matrix, row, 3, to)
        const wanted = weights.subarray(row * columns, (row + 1) * columns).map((weight) => 3 * weight)
        expectNear(`row ${row}`, workspace.floats(to, columns), wanted, 1e-6)
      }
    }
  },
}

/** @param levels of the quantised activations on either side of 0; 0: they are not quantised. */
function checkProduct(workspace: Workspace, packed: Packed, levels: number): void {
  const { rows, columns, weights } = packed
  for (const tokens of [1, 2, 3, 4, 7, 19]) {
    const inputs = new Random(rows * columns + tokens).floats(tokens * columns)
    inputs.fill(0, 0, Math.min(32, columns)) // a block of zeros has no scale
    const found = run(workspace, packed, inputs, tokens)
    const seen = levels === 0 ? Float64Array.from(inputs) : quantized(inputs, columns, levels)
    const wanted = new Float64Array(tokens * rows)
    for (let token = 0; token < tokens; token++)
      for (let row = 0; row < rows; row++)
        for (let column = 0; column < columns; column++)
          wanted[token * rows + row]! += weights[row * columns + column]! * seen[token * columns + column]!
    // Rounding grows with what is added up, not with what is left of it.
    const size =
      Math.max(...weights.map(Math.abs)) * Math.max(...seen.map(Math.abs)) * Math.sqrt(columns) + 1e-30
    expectNear(`${rows}×${columns}, ${tokens} tokens`, found, wanted, 2e-6, size)
  }
}

/** The outputs [tokens, rows], computed in two shares of the rows where there are so many; what lies behind is not touched. */
function run(
  workspace: Workspace,
  { matrix, kind, rows, columns }: Packed,
  inputs: Float32Array,
  tokens: number,
): Float32Array {
  const { kernels } = workspace
  const bytes = kernels.activationBytes(kind, columns)
  const activations = workspace.allocate(tokens * bytes)
  for (let token = 0; token < tokens; token++) {
    const from = workspace.put(inputs.subarray(token * columns, (token + 1) * columns), 4 * columns + 128)
    kernels.prepare(kind, from, columns, activations + token * bytes)
  }
  const out = workspace.put(new Float32Array(tokens * rows + 8).fill(77))
  const half = rows > 8 ? 8 * Math.floor(rows / 16) : 0
  if (half > 0) kernels.product(matrix, activations, tokens, out, rows * 4, 0, half)
  kernels.product(matrix, activations, tokens, out, rows * 4, half, rows)
  expectEqual('what lies behind', workspace.floats(out + 4 * tokens * rows, 8), new Array(8).fill(77))
  return workspace.floats(out, tokens * rows).slice()
}

/** Activations as `assembly/activations.ts` sees them: one scale for 32. */
function quantized(inputs: Float32Array, columns: number, levels: number): Float64Array {
  const seen = new Float64Array(inputs.length)
  for (let begin = 0; begin < inputs.length; begin += columns)
    for (let block = begin; block < begin + columns; block += 32) {
      const end = Math.min(block + 32, begin + columns)
      const scale = Math.fround(Math.max(...inputs.subarray(block, end).map(Math.abs)) / levels)
      const inverse = scale > 0 ? Math.fround(1 / scale) : 0
      for (let at = block; at < end; at++)
        seen[at] = scale * roundHalfEven(Math.fround(inputs[at]! * inverse))
    }
  return seen
}

function roundHalfEven(value: number): number {
  const down = Math.floor(value)
  if (value - down !== 0.5) return Math.round(value)
  return down % 2 === 0 ? down : down + 1
}

function packUint4(workspace: Workspace, rows: number, columns: number): Packed {
  const random = new Random(rows + columns)
  const nibbles = random.ints(rows * columns, 0, 15)
  const scaleFactor = 2 ** -9
  const scales = random
    .floats((rows * columns) / 32)
    .map((scale) => Math.fround(Math.round(scale * 512) / 2 ** 18))
  const bytes = Uint8Array.from(
    { length: nibbles.length / 2 },
    (_, i) => nibbles[2 * i]! | (nibbles[2 * i + 1]! << 4),
  )
  const matrix = workspace.matrix(MATRIX_KIND.uint4, rows, columns, { scaleFactor })
  const source = workspace.put(bytes)
  const units = bytes.length / 16
  const cut = Math.floor(units / 3)
  workspace.kernels.packUint4(matrix, source, 0, cut)
  workspace.kernels.packUint4(matrix, source + 16 * cut, cut, units - cut)
  workspace.kernels.packUint4Scales(matrix, workspace.put(scales), 0, scales.length)
  const weights = Float64Array.from(nibbles, (nibble, i) => (nibble - 8) * scales[Math.floor(i / 32)]!)
  return { matrix, kind: MATRIX_KIND.uint4, rows, columns, weights }
}

function packInt8(workspace: Workspace, rows: number, columns: number, parts: number): Packed {
  const random = new Random(rows + columns)
  const values = Int8Array.from(random.ints(rows * columns, -127, 127))
  const scales = random.floats(rows)
  const matrix = workspace.matrix(MATRIX_KIND.int8, rows, columns)
  workspace.floats(workspace.scalesOf(matrix), rows).set(scales)
  packInPieces(
    values,
    (from, first, count) => workspace.kernels.packInt8(matrix, from, first, count, parts),
    workspace,
  )
  return {
    matrix,
    kind: MATRIX_KIND.int8,
    rows,
    columns,
    weights: weightsOf(rows, columns, parts, (i, row) => values[i]! * scales[row]!),
  }
}

function packInt8Rows(workspace: Workspace, rows: number, columns: number): Packed {
  return packInt8(workspace, rows, columns, 0)
}

function packInt8Blocks(workspace: Workspace, rows: number, columns: number): Packed {
  const random = new Random(rows + columns)
  const values = Int8Array.from(random.ints(rows * columns, -127, 127))
  const blocks = columns / 32
  const matrix = workspace.matrix(MATRIX_KIND.int8, rows, columns, { scaleStep: 32 })
  const scales = random.floats(rows * blocks)
  const lanes = workspace.floats(workspace.scalesOf(matrix), Math.ceil(rows / 8) * 8 * blocks)
  scales.forEach((scale, i) => {
    const row = Math.floor(i / blocks)
    lanes[(Math.floor(row / 8) * blocks + (i % blocks)) * 8 + (row % 8)] = scale
  })
  workspace.kernels.packInt8(matrix, workspace.put(values), 0, values.length, 0)
  const weights = Float64Array.from(values, (value, i) => value * scales[Math.floor(i / 32)]!)
  return { matrix, kind: MATRIX_KIND.int8, rows, columns, weights }
}

function packFloat32(workspace: Workspace, rows: number, columns: number, parts: number, bias = 0): Packed {
  const values = new Random(rows + columns).floats(rows * columns)
  const matrix = workspace.matrix(MATRIX_KIND.float32, rows, columns, { bias })
  packInPieces(
    values,
    (from, first, count) => workspace.kernels.packFloat32(matrix, from, first, count, parts),
    workspace,
  )
  return {
    matrix,
    kind: MATRIX_KIND.float32,
    rows,
    columns,
    weights: weightsOf(rows, columns, parts, (i) => values[i]!),
  }
}

function packFloat32Rows(workspace: Workspace, rows: number, columns: number): Packed {
  return packFloat32(workspace, rows, columns, 0)
}

function packFloat16(workspace: Workspace, rows: number, columns: number): Packed {
  // Normal and subnormal halves of both signs.
  const bits = Uint16Array.from(new Random(rows + columns).ints(rows * columns, 0, 0x7fff), (bit, i) =>
    i % 2 === 0 ? bit & 0xbfff & 0x83ff : (bit & 0x3fff) | 0x8000,
  )
  const matrix = workspace.matrix(MATRIX_KIND.float16, rows, columns)
  workspace.kernels.packFloat16(matrix, workspace.put(bits), 0, bits.length, 0)
  return { matrix, kind: MATRIX_KIND.float16, rows, columns, weights: Float64Array.from(bits, halfToNumber) }
}

function packInPieces(
  values: Float32Array | Int8Array,
  pack: (from: Address, first: number, count: number) => void,
  workspace: Workspace,
): void {
  const source = workspace.put(values)
  for (let first = 0, count = 1; first < values.length; first += count, count = 2 * count + 1)
    pack(source + first * values.BYTES_PER_ELEMENT, first, Math.min(count, values.length - first))
}

/** From [rows, columns], or [parts, columns, rows/parts], to [rows, columns]. */
function weightsOf(
  rows: number,
  columns: number,
  parts: number,
  weight: (index: number, row: number) => number,
): Float64Array {
  const width = rows / parts
  return Float64Array.from({ length: rows * columns }, (_, at) => {
    const row = Math.floor(at / columns)
    const column = at % columns
    if (parts === 0) return weight(at, row)
    return weight(Math.floor(row / width) * columns * width + column * width + (row % width), row)
  })
}

function halfToNumber(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1
  const exponent = (bits >> 10) & 31
  const fraction = bits & 1023
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25)
}

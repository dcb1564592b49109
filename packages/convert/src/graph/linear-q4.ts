import type { GraphBuilder } from '../onnx/graph-builder.ts'
import { bytesOf } from '../onnx/tensor-data.ts'
import { Q4_BLOCK, restoreQ4 } from '../quantization/q4-matrix.ts'
import type { Q4Matrix } from '../quantization/q4-matrix.ts'
import { fitsQ4, quantizeQ4 } from '../quantization/q4.ts'
import type { QuantizationError } from '../quantization/report.ts'
import { FloatLinear } from './linear-float.ts'
import type { LinearForm, LinearOptions } from './linear.ts'
import { rowRanges } from './matrix.ts'
import type { Matrix } from './matrix.ts'

/** 4-bit blocks for WebGPU. Matrices whose inputs do not fill whole blocks stay fp32; those that come in such blocks stay as they are. */
export class Q4Linear implements LinearForm {
  readonly #builder: GraphBuilder
  readonly #error: QuantizationError
  readonly #fp32: FloatLinear
  readonly #fallbacks = new Set<string>()

  constructor({ builder, error }: LinearOptions) {
    this.#builder = builder
    this.#error = error
    this.#fp32 = new FloatLinear(builder)
  }

  get fallbacks(): readonly string[] {
    return [...this.#fallbacks]
  }

  project(input: string, matrices: readonly Matrix[]): string[] {
    return matrices.flatMap((matrix) => {
      if (!this.#fits(matrix)) return this.#fp32.project(input, [matrix])
      this.#store(matrix)
      return [this.#multiply(`${matrix.name}.product`, input, matrix)]
    })
  }

  embed(ids: string, table: Matrix): string {
    if (!this.#fits(table)) return this.#fp32.embed(ids, table)
    this.#store(table)
    const { name, rows, columns } = table
    const values = this.#builder.view(
      `${name}.packed_rows`,
      `${name}.weight`,
      [rows, columns / 2],
      0,
      (rows * columns) / 2,
    )
    const numScales = (rows * columns) / Q4_BLOCK
    const scales = this.#builder.view(
      `${name}.row_scales`,
      `${name}.scales`,
      [rows, columns / Q4_BLOCK],
      0,
      4 * numScales,
    )
    const attributes = { bits: 4, block_size: Q4_BLOCK, gather_axis: 0, quantize_axis: 1 }
    const options = { domain: 'com.microsoft', attributes }
    return this.#builder.node('GatherBlockQuantized', `${name}.rows`, [values, ids, scales], options)
  }

  logits(output: string, hidden: string, table: Matrix): string {
    if (!this.#fits(table)) return this.#fp32.logits(output, hidden, table)
    this.#store(table)
    return this.#multiply(output, hidden, table)
  }

  #fits(matrix: Matrix): boolean {
    const fits = fitsQ4(matrix)
    if (!fits) this.#fallbacks.add(matrix.name)
    return fits
  }

  #store(matrix: Matrix): void {
    const { name, rows, columns } = matrix
    const numBlocks = columns / Q4_BLOCK
    const scales = new Float32Array(rows * numBlocks)
    const packed = (begin: number, end: number): Uint8Array => {
      const part = this.#rows(matrix, begin, end)
      scales.set(part.scales, begin * numBlocks)
      return bytesOf(part.values)
    }
    this.#builder.weight(`${name}.weight`, {
      type: 'uint8',
      dims: [rows, numBlocks, Q4_BLOCK / 2],
      listed: { dtype: 'uint4', shape: [rows, columns] },
      *produce() {
        for (const [begin, end] of rowRanges(matrix)) yield packed(begin, end)
      },
    })
    this.#builder.weight(`${name}.scales`, {
      type: 'float32',
      dims: [rows * numBlocks],
      listed: { dtype: 'float32', shape: [rows, numBlocks] },
      produce: () => [bytesOf(scales)], // after the values, which fill them in
    })
  }

  #rows(matrix: Matrix, begin: number, end: number): Q4Matrix {
    if (matrix.blocks !== undefined) return matrix.blocks(begin, end)
    const original = matrix.read(begin, end)
    const quantized = quantizeQ4(original)
    this.#error.add(matrix.name, original, restoreQ4(quantized))
    return quantized
  }

  #multiply(output: string, input: string, { name, rows, columns }: Matrix): string {
    const attributes = { K: columns, N: rows, bits: 4, block_size: Q4_BLOCK }
    const inputs = [input, `${name}.weight`, `${name}.scales`]
    return this.#builder.node('MatMulNBits', output, inputs, { domain: 'com.microsoft', attributes })
  }
}

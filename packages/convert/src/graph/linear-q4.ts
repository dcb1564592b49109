import type { GraphBuilder } from '../onnx/graph-builder.ts'
import { Q4_BLOCK, fitsQ4, quantizeQ4 } from '../quantization/q4.ts'
import type { QuantizationError } from '../quantization/report.ts'
import type { Matrix } from './decoder-spec.ts'
import { FloatLinear } from './linear-float.ts'
import type { LinearForm, LinearOptions } from './linear.ts'

/** 4-bit blocks for WebGPU. Matrices whose inputs do not fill whole blocks stay fp32. */
export class Q4Linear implements LinearForm {
  readonly #builder: GraphBuilder
  readonly #error: QuantizationError
  readonly #fp32: FloatLinear
  readonly #tables = new Set<string>()
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

  logits(hidden: string, table: Matrix): string {
    if (!this.#fits(table)) return this.#fp32.logits(hidden, table)
    this.#store(table)
    return this.#multiply('logits', hidden, table)
  }

  #fits(matrix: Matrix): boolean {
    const fits = fitsQ4(matrix)
    if (!fits) this.#fallbacks.add(matrix.name)
    return fits
  }

  #store(matrix: Matrix): void {
    const { name, rows, columns } = matrix
    if (this.#tables.has(name)) return
    this.#tables.add(name)
    const { values, scales } = quantizeQ4(matrix, this.#error)
    const numBlocks = columns / Q4_BLOCK
    const listed = { dtype: 'uint4', shape: [rows, columns] } as const
    this.#builder.weight(`${name}.weight`, values, [rows, numBlocks, Q4_BLOCK / 2], listed)
    this.#builder.weight(`${name}.scales`, scales, [rows * numBlocks], { shape: [rows, numBlocks] })
  }

  #multiply(output: string, input: string, { name, rows, columns }: Matrix): string {
    const attributes = { K: columns, N: rows, bits: 4, block_size: Q4_BLOCK }
    const inputs = [input, `${name}.weight`, `${name}.scales`]
    return this.#builder.node('MatMulNBits', output, inputs, { domain: 'com.microsoft', attributes })
  }
}

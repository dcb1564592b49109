import type { GraphBuilder } from '../onnx/graph-builder.ts'
import { floatOf, toFloat16 } from '../quantization/float16.ts'
import type { QuantizationError } from '../quantization/report.ts'
import type { Matrix } from './decoder-spec.ts'
import type { LinearForm } from './linear.ts'
import { transposeInto } from './transpose.ts'

/**
 * Plain MatMul over [inputs, outputs]; tables stay [outputs, inputs], which Gather and Gemm both read.
 * Given an `error` to count in, weights are stored in half precision; the graph makes floats of them and computes with those.
 */
export class FloatLinear implements LinearForm {
  readonly fallbacks: readonly string[] = []
  readonly #builder: GraphBuilder
  readonly #halfError: QuantizationError | undefined

  constructor(builder: GraphBuilder, halfError?: QuantizationError) {
    this.#builder = builder
    this.#halfError = halfError
  }

  project(input: string, matrices: readonly Matrix[]): string[] {
    return matrices.map((matrix) => {
      const { name, rows, columns } = matrix
      const data = new Float32Array(matrix.data.length)
      transposeInto(matrix.data, rows, columns, data)
      const weight = this.#weight(name, data, [columns, rows], [1, columns, rows])
      return this.#builder.node('MatMul', `${name}.product`, [input, this.#floats(weight)])
    })
  }

  embed(ids: string, table: Matrix): string {
    return this.#floats(this.#builder.node('Gather', `${table.name}.rows`, [this.#table(table), ids]))
  }

  logits(hidden: string, table: Matrix): string {
    const attributes = { transB: 1 }
    return this.#builder.node('Gemm', 'logits', [hidden, this.#floats(this.#table(table))], { attributes })
  }

  #table({ name, rows, columns, data }: Matrix): string {
    return this.#weight(name, data, [rows, columns], [rows, columns])
  }

  #weight(name: string, data: Float32Array, dims: readonly number[], shape: readonly number[]): string {
    const weight = `${name}.weight`
    if (this.#builder.has(weight)) return weight
    if (this.#halfError === undefined) return this.#builder.weight(weight, data, dims, { shape })
    const halves = toFloat16(data)
    this.#halfError.add(name, data, (i) => floatOf(halves[i] as number))
    return this.#builder.weight(weight, halves, dims, { dtype: 'float16', shape })
  }

  #floats(tensor: string): string {
    if (this.#halfError === undefined) return tensor
    return this.#builder.node('Cast', `${tensor}.floats`, [tensor], { attributes: { to: 1 } })
  }
}

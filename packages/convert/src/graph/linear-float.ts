import type { GraphBuilder } from '../onnx/graph-builder.ts'
import { bytesOf } from '../onnx/tensor-data.ts'
import { fromFloat16, toFloat16 } from '../quantization/float16.ts'
import type { QuantizationError } from '../quantization/report.ts'
import type { LinearForm } from './linear.ts'
import { rowRanges } from './matrix.ts'
import type { Matrix } from './matrix.ts'
import { transposed } from './transpose.ts'

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
      const weight = this.#weight(name, [columns, rows], [1, columns, rows], () => [
        transposed(matrix.read(0, rows), rows, columns),
      ])
      return this.#builder.node('MatMul', `${name}.product`, [input, this.#floats(weight)])
    })
  }

  embed(ids: string, table: Matrix): string {
    return this.#floats(this.#builder.node('Gather', `${table.name}.rows`, [this.#table(table), ids]))
  }

  logits(output: string, hidden: string, table: Matrix): string {
    const attributes = { transB: 1 }
    return this.#builder.node('Gemm', output, [hidden, this.#floats(this.#table(table))], { attributes })
  }

  #table(table: Matrix): string {
    const { name, rows, columns } = table
    return this.#weight(name, [rows, columns], [rows, columns], function* () {
      for (const [begin, end] of rowRanges(table)) yield table.read(begin, end)
    })
  }

  #weight(
    name: string,
    dims: readonly number[],
    shape: readonly number[],
    read: () => Iterable<Float32Array>,
  ): string {
    const half = this.#halfError !== undefined
    const store = (data: Float32Array): Uint8Array => bytesOf(half ? this.#halved(name, data) : data)
    return this.#builder.weight(`${name}.weight`, {
      type: half ? 'float16' : 'float32',
      dims,
      listed: { dtype: half ? 'float16' : 'float32', shape },
      *produce() {
        for (const data of read()) yield store(data)
      },
    })
  }

  #halved(name: string, data: Float32Array): Uint16Array {
    const halves = toFloat16(data)
    this.#halfError?.add(name, data, fromFloat16(halves))
    return halves
  }

  #floats(tensor: string): string {
    if (this.#halfError === undefined) return tensor
    return this.#builder.node('Cast', `${tensor}.floats`, [tensor], { attributes: { to: 1 } })
  }
}

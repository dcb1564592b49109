import type { GraphBuilder } from '../onnx/graph-builder.ts'
import type { Matrix } from './decoder-spec.ts'
import type { LinearForm } from './linear.ts'
import { transposeInto } from './transpose.ts'

/** Plain MatMul over [inputs, outputs]; tables stay [outputs, inputs], which Gather and Gemm both read. */
export class Fp32Linear implements LinearForm {
  readonly fallbacks: readonly string[] = []
  readonly #builder: GraphBuilder

  constructor(builder: GraphBuilder) {
    this.#builder = builder
  }

  project(input: string, matrices: readonly Matrix[]): string[] {
    return matrices.map((matrix) => {
      const data = new Float32Array(matrix.data.length)
      transposeInto(matrix.data, matrix.rows, matrix.columns, data)
      const weight = this.#builder.constant(`${matrix.name}.weight`, data, [matrix.columns, matrix.rows])
      return this.#builder.node('MatMul', `${matrix.name}.product`, [input, weight])
    })
  }

  embed(ids: string, table: Matrix): string {
    return this.#builder.node('Gather', `${table.name}.rows`, [this.#table(table), ids])
  }

  logits(hidden: string, table: Matrix): string {
    const attributes = { transB: 1 }
    return this.#builder.node('Gemm', 'logits', [hidden, this.#table(table)], { attributes })
  }

  #table(table: Matrix): string {
    return this.#builder.constant(`${table.name}.weight`, table.data, [table.rows, table.columns])
  }
}

import type { GraphBuilder } from '../onnx/graph-builder.ts'
import type { LinearForm } from './linear.ts'
import type { Matrix } from './matrix.ts'

/** What both halves of a transformer block are made of: products with biases, and RMS norms. Strings are names of tensors in the graph. */
export class BlockWriter {
  readonly builder: GraphBuilder
  readonly linear: LinearForm
  readonly #epsilon: { readonly float: number }

  constructor(builder: GraphBuilder, linear: LinearForm, normEpsilon: number) {
    this.builder = builder
    this.linear = linear
    this.#epsilon = { float: normEpsilon }
  }

  /** input times each matrix, plus its bias. */
  project(input: string, matrices: readonly Matrix[]): string[] {
    const products = this.linear.project(input, matrices)
    return matrices.map(({ name, bias }, index) => {
      const product = products[index] ?? ''
      if (bias === undefined) return product
      return this.builder.node('Add', `${name}.biased`, [product, this.builder.vector(`${name}.bias`, bias)])
    })
  }

  /** RMS norm over the last axis; the input itself where there is no norm. */
  norm(name: string, input: string, weight: Float32Array | undefined): string {
    if (weight === undefined) return input
    const scale = this.builder.vector(`${name}.weight`, weight)
    const attributes = { axis: -1, epsilon: this.#epsilon }
    return this.builder.node('SimplifiedLayerNormalization', name, [input, scale], { attributes })
  }

  /** residual + delta, and its RMS norm. */
  addAndNorm(
    name: string,
    residual: string,
    delta: string | undefined,
    weight: Float32Array,
  ): { readonly normed: string; readonly residual: string } {
    if (delta === undefined) return { normed: this.norm(name, residual, weight), residual }
    const scale = this.builder.vector(`${name}.weight`, weight)
    const sum = `${name}.residual`
    const normed = this.builder.node('SkipSimplifiedLayerNormalization', name, [residual, delta, scale], {
      domain: 'com.microsoft',
      attributes: { epsilon: this.#epsilon },
      outputs: [name, '', '', sum],
    })
    return { normed, residual: sum }
  }
}

import type { GraphBuilder } from '../../packages/convert/src/onnx/graph-builder.ts'
import type { Linear, Norm } from './encoder-spec.ts'

/** The pieces that transformer encoders and decoders of tests are written of. Every method returns the name of what it made. */
export class OnnxBlocks {
  readonly builder: GraphBuilder
  readonly #hiddenSize: number
  readonly #heads: number

  constructor(builder: GraphBuilder, hiddenSize: number, heads: number) {
    this.builder = builder
    this.#hiddenSize = hiddenSize
    this.#heads = heads
  }

  linear(name: string, input: string, { weight, bias }: Linear): string {
    const { builder } = this
    const matrix = builder.constant(`${name}.weight`, weight, [weight.length / bias.length, bias.length])
    const product = builder.node('MatMul', `${name}.product`, [input, matrix])
    return builder.node('Add', name, [product, builder.constant(`${name}.bias`, bias, [bias.length])])
  }

  norm(name: string, input: string, { scale, bias }: Norm): string {
    const { builder } = this
    const size = [this.#hiddenSize]
    return builder.node(
      'LayerNormalization',
      name,
      [input, builder.constant(`${name}.scale`, scale, size), builder.constant(`${name}.bias`, bias, size)],
      { attributes: { axis: -1, epsilon: { float: 1e-12 } } },
    )
  }

  /** [B, S, H] to [B, heads, S, H / heads]. */
  heads(name: string, input: string): string {
    const size = this.#hiddenSize / this.#heads
    const split = this.builder.node('Reshape', `${name}.split`, [
      input,
      this.builder.ints([0, 0, this.#heads, size]),
    ])
    return this.builder.node('Transpose', name, [split], { attributes: { perm: [0, 2, 1, 3] } })
  }

  /** Attention of heads over heads, to [B, S, H]. @param mask is added to the scores. */
  attend(name: string, query: string, key: string, value: string, mask?: string): string {
    const { builder } = this
    const turned = builder.node('Transpose', `${name}.turned`, [key], { attributes: { perm: [0, 1, 3, 2] } })
    const raw = builder.node('MatMul', `${name}.raw`, [query, turned])
    const scale = builder.scalar(1 / Math.sqrt(this.#hiddenSize / this.#heads))
    const scaled = builder.node('Mul', `${name}.scaled`, [raw, scale])
    const masked = mask === undefined ? scaled : builder.node('Add', `${name}.masked`, [scaled, mask])
    const weights = builder.node('Softmax', `${name}.weights`, [masked], { attributes: { axis: -1 } })
    const mixed = builder.node('MatMul', `${name}.mixed`, [weights, value])
    const joined = builder.node('Transpose', `${name}.joined`, [mixed], {
      attributes: { perm: [0, 2, 1, 3] },
    })
    return builder.node('Reshape', name, [joined, builder.ints([0, 0, this.#hiddenSize])])
  }

  /** x + gelu(x · up) · down, then the norm. */
  feedForward(name: string, input: string, up: Linear, down: Linear, norm: Norm): string {
    const { builder } = this
    const raised = builder.node('Gelu', `${name}.gelu`, [this.linear(`${name}.up`, input, up)])
    const sum = builder.node('Add', `${name}.sum`, [input, this.linear(`${name}.down`, raised, down)])
    return this.norm(`${name}.norm`, sum, norm)
  }

  gather(name: string, table: Float32Array, rows: number, indices: string): string {
    const matrix = this.builder.constant(`${name}.table`, table, [rows, table.length / rows])
    return this.builder.node('Gather', name, [matrix, indices], { attributes: { axis: 0 } })
  }

  /** 0 to S − 1, of a tensor [B, S]. */
  positions(input: string): string {
    const { builder } = this
    const shape = builder.node('Shape', `${input}.shape`, [input])
    const at = builder.constant('index.1', BigInt64Array.of(1n), [])
    const length = builder.node('Gather', `${input}.length`, [shape, at], { attributes: { axis: 0 } })
    const [zero, one] = [0n, 1n].map((value) => builder.constant(`int.${value}`, BigInt64Array.of(value), []))
    return builder.node('Range', `${input}.positions`, [zero ?? '', length, one ?? ''])
  }
}

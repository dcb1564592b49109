import type { BlockWriter } from '../../packages/convert/src/graph/block-writer.ts'
import type { DecoderLayer, DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { rotaryTables } from '../../packages/convert/src/graph/rotary.ts'
import type { AttentionExport, ExportOptions } from './exporter.ts'
import { cast, shapeOf } from './exporter.ts'

/**
 * As optimum exports attention, op by op: the past and what is new are concatenated, keys and values repeated for their heads, and a 4-D mask is made
 * of the causal one and the attention mask. Positions that are counted begin behind the past, as `cache_position` does: wrong for padded rows.
 */
export class OptimumAttention implements AttentionExport {
  readonly #blocks: BlockWriter
  readonly #spec: DecoderSpec
  readonly #options: ExportOptions

  constructor(blocks: BlockWriter, spec: DecoderSpec, options: ExportOptions) {
    this.#blocks = blocks
    this.#spec = spec
    this.#options = options
  }

  prepare(): void {
    const { builder } = this.#blocks
    const one = builder.constant('one', BigInt64Array.of(1n), [])
    const zero = builder.constant('zero', BigInt64Array.of(0n), [])
    const past = shapeOf(builder, 'past_key_values.0.key', 2, 'past')
    const width = shapeOf(builder, 'input_ids', 1, 'width')
    const total = builder.node('Add', 'total', [past, width])
    const rows = builder.node('Range', 'rows', [past, total, one])
    const columns = builder.node('Range', 'columns', [zero, total, one])
    const tall = builder.node('Unsqueeze', 'rows.tall', [rows, builder.ints([1])])
    const causal = builder.node('LessOrEqual', 'causal', [columns, tall])
    const there = builder.node('Cast', 'there', ['attention_mask'], { attributes: { to: 9 } })
    const wide = builder.node('Unsqueeze', 'there.wide', [there, builder.ints([1, 2])])
    const seen = builder.node('And', 'seen', [wide, causal])
    builder.node('Where', 'mask.4d', [seen, builder.scalar(0), builder.scalar(-3.4028234663852886e38)])
    this.#rotary(rows)
  }

  attend(index: number, layer: DecoderLayer, input: string): string {
    const { builder } = this.#blocks
    const { heads, kvHeads, headDim, attentionScale } = this.#spec
    const name = `layers.${index}.attention`
    const [query = '', key = '', value = ''] = this.#blocks.project(input, [
      layer.query,
      layer.key,
      layer.value,
    ])
    const queries = this.#turn(`${name}.query`, this.#headsOf(`${name}.query`, query, heads))
    const keys = this.#turn(`${name}.key`, this.#headsOf(`${name}.key`, key, kvHeads))
    const allKeys = this.#grown(`${index}.key`, keys)
    const allValues = this.#grown(`${index}.value`, this.#headsOf(`${name}.value`, value, kvHeads))
    const upright = builder.node('Transpose', `${name}.keys`, [allKeys], perm(0, 1, 3, 2))
    const products = builder.node('MatMul', `${name}.products`, [queries, upright])
    const scaled = builder.node('Mul', `${name}.scaled`, [products, builder.scalar(attentionScale)])
    const masked = builder.node('Add', `${name}.masked`, [scaled, 'mask.4d'])
    const weights = builder.node('Softmax', `${name}.weights`, [masked], { attributes: { axis: -1 } })
    const sums = builder.node('MatMul', `${name}.sums`, [weights, allValues])
    const back = builder.node('Transpose', `${name}.back`, [sums], perm(0, 2, 1, 3))
    return builder.node('Reshape', name, [back, builder.ints([0, 0, heads * headDim])])
  }

  /** Cosines and sines of the step's positions, [rows, 1, width, headDim], by name. */
  #rotary(counted: string): void {
    const { builder } = this.#blocks
    const { contextLength, headDim, rotaries } = this.#spec
    if (rotaries.rotary === undefined) throw new Error('a decoder without rotary')
    const tables = rotaryTables(rotaries.rotary, contextLength, headDim)
    const isInput = this.#options.positions === 'input'
    const positions = isInput
      ? 'position_ids'
      : builder.node('Unsqueeze', 'counted', [counted, builder.ints([0])])
    for (const name of ['cos', 'sin'] as const) {
      const table = builder.constant(`${name}.table`, tables[name], [contextLength, headDim / 2])
      const half = builder.node('Gather', `${name}.half`, [table, positions], { attributes: { axis: 0 } })
      const whole = builder.node('Concat', `${name}.whole`, [half, half], { attributes: { axis: -1 } })
      builder.node('Unsqueeze', name, [whole, builder.ints([1])])
    }
  }

  #headsOf(name: string, input: string, heads: number): string {
    const { builder } = this.#blocks
    const shape = builder.ints([0, 0, heads, this.#spec.headDim])
    const apart = builder.node('Reshape', `${name}.apart`, [input, shape])
    return builder.node('Transpose', `${name}.heads`, [apart], perm(0, 2, 1, 3))
  }

  /** x·cos + (−x₂, x₁)·sin */
  #turn(name: string, input: string): string {
    const { builder } = this.#blocks
    const half = this.#spec.headDim / 2
    const parts = [`${name}.first`, `${name}.second`] as const
    builder.node('Split', parts[0], [input, builder.ints([half, half])], {
      attributes: { axis: -1 },
      outputs: parts,
    })
    const negative = builder.node('Neg', `${name}.negative`, [parts[1]])
    const turned = builder.node('Concat', `${name}.swapped`, [negative, parts[0]], {
      attributes: { axis: -1 },
    })
    const straight = builder.node('Mul', `${name}.straight`, [input, 'cos'])
    return builder.node('Add', `${name}.turned`, [
      straight,
      builder.node('Mul', `${name}.across`, [turned, 'sin']),
    ])
  }

  /** The past and what is new, which is the present; repeated for the heads that share it. */
  #grown(cache: string, fresh: string): string {
    const { builder } = this.#blocks
    const { heads, kvHeads, headDim } = this.#spec
    const { dtype } = this.#options
    const present = builder.node(
      'Concat',
      `present.${cache}`,
      [`past_key_values.${cache}`, cast(builder, fresh, dtype, `${cache}.fresh`)],
      { attributes: { axis: -2 } },
    )
    const floats = builder.node('Cast', `${cache}.floats`, [present], { attributes: { to: 1 } })
    const apart = builder.node('Unsqueeze', `${cache}.apart`, [floats, builder.ints([2])])
    const repeats = builder.ints([1, 1, heads / kvHeads, 1, 1])
    const repeated = builder.node('Expand', `${cache}.repeated`, [apart, repeats])
    return builder.node('Reshape', `${cache}.heads`, [repeated, builder.ints([0, heads, -1, headDim])])
  }
}

function perm(...axes: readonly number[]) {
  return { attributes: { perm: axes } }
}

import type { BlockWriter } from '../../packages/convert/src/graph/block-writer.ts'
import type { DecoderLayer, DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import { rotaryTables } from '../../packages/convert/src/graph/rotary.ts'
import { toFloat16 } from '../../packages/convert/src/quantization/float16.ts'
import type { AttentionExport, ExportOptions } from './exporter.ts'
import { cast, shapeOf } from './exporter.ts'

/**
 * As onnxruntime-genai and transformers.js have it: GroupQueryAttention, lengths counted in the attention mask. It turns queries and keys itself, or,
 * where positions are an input, RotaryEmbedding does.
 */
export class GenaiAttention implements AttentionExport {
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
    const int32 = { attributes: { to: 6 } }
    const sums = builder.node('ReduceSum', 'mask.sums', ['attention_mask', builder.ints([1])], {
      attributes: { keepdims: 0 },
    })
    builder.node('Cast', 'seqlens_k', [builder.node('Sub', 'mask.last', [sums, builder.ints([1])])], int32)
    builder.node('Cast', 'total_length', [shapeOf(builder, 'attention_mask', 1, 'mask.columns')], int32)
    const { contextLength, headDim, rotaries } = this.#spec
    if (rotaries.rotary === undefined) throw new Error('a decoder without rotary')
    const tables = rotaryTables(rotaries.rotary, contextLength, headDim)
    const isHalf = this.#options.dtype === 'float16' && this.#options.positions === 'counted'
    for (const name of ['cos', 'sin'] as const) {
      const table = isHalf ? toFloat16(tables[name]) : tables[name]
      builder.constant(`${name}_cache`, table, [contextLength, headDim / 2])
    }
  }

  attend(index: number, layer: DecoderLayer, input: string): string {
    const { builder } = this.#blocks
    const { heads, kvHeads, attentionScale } = this.#spec
    const { dtype, positions } = this.#options
    const name = `layers.${index}.attention`
    const turned = positions === 'counted'
    const [query = '', key = '', value = ''] = this.#blocks
      .project(input, [layer.query, layer.key, layer.value])
      .map((part, at) => (turned || at === 2 ? part : this.#turn(`${name}.${at}`, part)))
      .map((part, at) => cast(builder, part, dtype, `${name}.${at}.cast`))
    const past = [`past_key_values.${index}.key`, `past_key_values.${index}.value`]
    const tables = turned ? ['cos_cache', 'sin_cache'] : []
    const inputs = [query, key, value, ...past, 'seqlens_k', 'total_length', ...tables]
    builder.node('GroupQueryAttention', name, inputs, {
      domain: 'com.microsoft',
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: turned ? 1 : 0,
        scale: { float: attentionScale },
      },
      outputs: [name, `present.${index}.key`, `present.${index}.value`],
    })
    return builder.node('Cast', `${name}.floats`, [name], { attributes: { to: 1 } })
  }

  #turn(name: string, input: string): string {
    return this.#blocks.builder.node(
      'RotaryEmbedding',
      `${name}.turned`,
      [input, 'position_ids', 'cos_cache', 'sin_cache'],
      { domain: 'com.microsoft' },
    )
  }
}

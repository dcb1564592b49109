import type { WeightForm } from '@tabserve/protocol'
import type { BlockWriter } from './block-writer.ts'
import type { DecoderLayer, DecoderSpec } from './decoder-spec.ts'
import { stack } from './matrix.ts'

/** Query, key and value as GroupQueryAttention takes them: three tensors, or all in the first. */
type AttentionInputs = readonly [query: string, key: string, value: string]

/** Attention over the KV cache: one GroupQueryAttention a layer, which turns queries and keys, writes the cache and attends. */
export class AttentionWriter {
  readonly #blocks: BlockWriter
  readonly #spec: DecoderSpec
  /** A sink that takes no weight keeps attention off the flash path, which is slow on wasm; WebGPU's flash path is the fast one. */
  readonly #withSink: boolean

  constructor(blocks: BlockWriter, spec: DecoderSpec, weights: WeightForm) {
    this.#blocks = blocks
    this.#spec = spec
    this.#withSink = weights !== 'q4'
  }

  write(index: number, layer: DecoderLayer, input: string): string {
    const name = `layers.${index}.attention`
    const packed = stack(`${name}.query_key_value`, [layer.query, layer.key, layer.value])
    const [queryKeyValue = ''] = this.#blocks.project(input, [packed])
    const attended = this.#attend(index, layer, this.#normed(name, layer, queryKeyValue))
    const [output = ''] = this.#blocks.project(attended, [layer.output])
    return output
  }

  /** Norms of query and key come before they turn, so they need them apart. */
  #normed(name: string, { queryNorm, keyNorm }: DecoderLayer, queryKeyValue: string): AttentionInputs {
    if (queryNorm === undefined && keyNorm === undefined) return [queryKeyValue, '', '']
    const { builder } = this.#blocks
    const { heads, kvHeads, headDim } = this.#spec
    const parts = [`${name}.query`, `${name}.key`, `${name}.value`] as const
    const sizes = builder.ints([heads * headDim, kvHeads * headDim, kvHeads * headDim])
    builder.node('Split', parts[0], [queryKeyValue, sizes], { attributes: { axis: -1 }, outputs: parts })
    return [
      this.#normHeads(parts[0], heads, `${name}.query_norm`, queryNorm),
      this.#normHeads(parts[1], kvHeads, `${name}.key_norm`, keyNorm),
      parts[2],
    ]
  }

  #normHeads(input: string, heads: number, name: string, weight: Float32Array | undefined): string {
    const { builder } = this.#blocks
    const { headDim } = this.#spec
    const apart = builder.node('Reshape', `${name}.heads`, [input, builder.ints([0, 0, heads, headDim])])
    const normed = this.#blocks.norm(name, apart, weight)
    return builder.node('Reshape', `${name}.joined`, [normed, builder.ints([0, 0, heads * headDim])])
  }

  #attend(index: number, { rotary, window }: DecoderLayer, inputs: AttentionInputs): string {
    const { builder } = this.#blocks
    const { heads, kvHeads, attentionScale, attentionSoftcap } = this.#spec
    const name = `layers.${index}.attention`
    const all = [
      ...inputs,
      `past_key_values.${index}.key`,
      `past_key_values.${index}.value`,
      'seqlens_k',
      'total_sequence_length',
      `${rotary}.cos`,
      `${rotary}.sin`,
    ]
    if (this.#withSink) {
      all.push('', '', builder.constant('no_sink', new Float32Array(heads).fill(-1e30), [heads]))
    }
    return builder.node('GroupQueryAttention', name, all, {
      domain: 'com.microsoft',
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: 1,
        rotary_interleaved: 0,
        scale: { float: attentionScale },
        ...(attentionSoftcap === undefined ? {} : { softcap: { float: attentionSoftcap } }),
        ...(window === 0 ? {} : { local_window_size: window }),
      },
      outputs: [name, `present.${index}.key`, `present.${index}.value`],
    })
  }
}

import type { DecoderTraits, QuantizationReport, WeightForm } from '@tabserve/protocol'
import type { ExternalData } from '../onnx/external-data.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import { QuantizationError } from '../quantization/report.ts'
import { stack } from './decoder-spec.ts'
import type { DecoderLayer, DecoderSpec } from './decoder-spec.ts'
import { decoderTraits } from './decoder-traits.ts'
import { linearForm } from './linear.ts'
import type { LinearForm } from './linear.ts'
import { rotaryTables } from './rotary.ts'

export interface DecoderGraphOptions {
  readonly weights: WeightForm
  /** Name of the external data file, as the graph will ask for it. */
  readonly externalPath: string
  /** Column parts of the int8 output projection; must divide the vocabulary. */
  readonly logitsParts: number
}

export interface BuiltGraph {
  readonly model: Uint8Array
  readonly externalData: ExternalData
  readonly traits: DecoderTraits
  readonly quantization: QuantizationReport | undefined
  /** Matrices that stayed fp32 in a quantised form. */
  readonly fallbacks: readonly string[]
}

/** Builds the graph whose inputs and outputs `DecoderGraph` in the protocol describes. */
export function buildDecoder(spec: DecoderSpec, options: DecoderGraphOptions): BuiltGraph {
  const builder = new GraphBuilder(options.externalPath)
  const error = new QuantizationError()
  const linear = linearForm(options.weights, { builder, error, logitsParts: options.logitsParts })
  new DecoderWriter(builder, linear, spec, options.weights).write()
  const { model, externalData, tensors } = builder.build(spec.architecture)
  const traits = decoderTraits(spec, tensors)
  return { model, externalData, traits, quantization: error.report(), fallbacks: linear.fallbacks }
}

class DecoderWriter {
  readonly #builder: GraphBuilder
  readonly #linear: LinearForm
  readonly #spec: DecoderSpec
  /** A sink that takes no weight keeps attention off the flash path, which is slow on wasm; WebGPU's flash path is the fast one. */
  readonly #withSink: boolean

  constructor(builder: GraphBuilder, linear: LinearForm, spec: DecoderSpec, weights: WeightForm) {
    this.#builder = builder
    this.#linear = linear
    this.#spec = spec
    this.#withSink = weights !== 'q4'
  }

  write(): void {
    const spec = this.#spec
    const ids = this.#inputs()
    this.#rotary()
    let residual = this.#linear.embed(ids, spec.embedding)
    let delta: string | undefined
    spec.layers.forEach((layer, index) => {
      const attentionInput = this.#normAfterAdd(
        `layers.${index}.attention_norm`,
        residual,
        delta,
        layer.attentionNorm,
      )
      delta = this.#attention(index, layer, attentionInput.normed)
      const feedForwardInput = this.#normAfterAdd(
        `layers.${index}.feed_forward_norm`,
        attentionInput.residual,
        delta,
        layer.feedForwardNorm,
      )
      delta = this.#feedForward(index, layer, feedForwardInput.normed)
      residual = feedForwardInput.residual
    })
    this.#logits(delta === undefined ? residual : this.#builder.node('Add', 'hidden', [residual, delta]))
  }

  #inputs(): string {
    const { layers, kvHeads, headDim } = this.#spec
    const ids = this.#builder.input('input_ids', 'int32', ['batch', 'sequence'])
    this.#builder.input('seqlens_k', 'int32', ['batch'])
    this.#builder.input('total_sequence_length', 'int32', [])
    this.#builder.input('logits_index', 'int32', ['logits_rows'])
    this.#builder.output('logits', 'float32', ['logits_rows', this.#spec.vocabSize])
    for (let layer = 0; layer < layers.length; layer++) {
      for (const part of ['key', 'value']) {
        const shape = ['batch', kvHeads, 'capacity', headDim]
        this.#builder.input(`past_key_values.${layer}.${part}`, 'float32', shape)
        this.#builder.output(`present.${layer}.${part}`, 'float32', shape)
      }
    }
    return ids
  }

  #rotary(): void {
    const { contextLength, headDim, rotaryDim, rotaryTheta } = this.#spec
    const { cos, sin } = rotaryTables({ contextLength, headDim, rotaryDim, theta: rotaryTheta })
    this.#builder.weight('rotary.cos', cos, [contextLength, headDim / 2])
    this.#builder.weight('rotary.sin', sin, [contextLength, headDim / 2])
  }

  /** residual + delta, and its RMS norm. */
  #normAfterAdd(
    name: string,
    residual: string,
    delta: string | undefined,
    weight: Float32Array,
  ): { readonly normed: string; readonly residual: string } {
    const scale = this.#builder.weight(`${name}.weight`, weight, [weight.length])
    const epsilon = { float: this.#spec.normEpsilon }
    if (delta === undefined) {
      const attributes = { axis: -1, epsilon }
      const normed = this.#builder.node('SimplifiedLayerNormalization', name, [residual, scale], {
        attributes,
      })
      return { normed, residual }
    }
    const sum = `${name}.residual`
    const options = { domain: 'com.microsoft', attributes: { epsilon }, outputs: [name, '', '', sum] }
    const normed = this.#builder.node(
      'SkipSimplifiedLayerNormalization',
      name,
      [residual, delta, scale],
      options,
    )
    return { normed, residual: sum }
  }

  #attention(index: number, layer: DecoderLayer, input: string): string {
    const { heads, kvHeads, attentionScale } = this.#spec
    const name = `layers.${index}.attention`
    const packed = stack(`${name}.query_key_value`, [layer.query, layer.key, layer.value])
    const [queryKeyValue = ''] = this.#linear.project(input, [packed])
    const inputs = [
      queryKeyValue,
      '',
      '',
      `past_key_values.${index}.key`,
      `past_key_values.${index}.value`,
      'seqlens_k',
      'total_sequence_length',
      'rotary.cos',
      'rotary.sin',
    ]
    if (this.#withSink) {
      inputs.push('', '', this.#builder.constant('no_sink', new Float32Array(heads).fill(-1e30), [heads]))
    }
    const attended = this.#builder.node('GroupQueryAttention', name, inputs, {
      domain: 'com.microsoft',
      attributes: {
        num_heads: heads,
        kv_num_heads: kvHeads,
        do_rotary: 1,
        rotary_interleaved: 0,
        scale: { float: attentionScale },
      },
      outputs: [name, `present.${index}.key`, `present.${index}.value`],
    })
    const [output = ''] = this.#linear.project(attended, [layer.output])
    return output
  }

  /** SwiGLU: down(silu(gate(x)) · up(x)). */
  #feedForward(index: number, layer: DecoderLayer, input: string): string {
    const name = `layers.${index}.feed_forward`
    const [gate = '', up = ''] = this.#linear.project(input, [layer.gate, layer.up])
    const sigmoid = this.#builder.node('Sigmoid', `${name}.sigmoid`, [gate])
    const silu = this.#builder.node('Mul', `${name}.silu`, [gate, sigmoid])
    const gated = this.#builder.node('Mul', `${name}.gated`, [silu, up])
    const [down = ''] = this.#linear.project(gated, [layer.down])
    return down
  }

  /** Rows are picked before the last norm, so that a long prompt pays the norm and the projection only where it is asked. */
  #logits(hidden: string): void {
    const { embedding, lmHead, finalNorm, hiddenSize } = this.#spec
    const rows = this.#builder.node('Reshape', 'hidden.rows', [hidden, this.#builder.ints([-1, hiddenSize])])
    const picked = this.#builder.node('Gather', 'hidden.picked', [rows, 'logits_index'])
    const { normed } = this.#normAfterAdd('final_norm', picked, undefined, finalNorm)
    this.#linear.logits(normed, lmHead ?? embedding)
  }
}

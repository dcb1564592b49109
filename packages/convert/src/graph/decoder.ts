import type { DecoderTraits, QuantizationReport, WeightForm } from '@tabserve/protocol'
import type { ExternalData } from '../onnx/external-data.ts'
import { GraphBuilder } from '../onnx/graph-builder.ts'
import { QuantizationError } from '../quantization/report.ts'
import { AttentionWriter } from './attention.ts'
import { BlockWriter } from './block-writer.ts'
import type { DecoderLayer, DecoderSpec } from './decoder-spec.ts'
import { decoderTraits } from './decoder-traits.ts'
import { linearForm } from './linear.ts'
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
  /** Weights are read and quantised while this is written. */
  readonly externalData: ExternalData
  readonly traits: DecoderTraits
  /** What quantisation cost; complete when the external data is written. */
  readonly quantization: () => QuantizationReport | undefined
  /** Matrices that stayed fp32 in a quantised form. */
  readonly fallbacks: readonly string[]
}

/** Builds the graph whose inputs and outputs `DecoderGraph` in the protocol describes. */
export function buildDecoder(spec: DecoderSpec, options: DecoderGraphOptions): BuiltGraph {
  const builder = new GraphBuilder(options.externalPath)
  const error = new QuantizationError()
  const linear = linearForm(options.weights, { builder, error, logitsParts: options.logitsParts })
  const blocks = new BlockWriter(builder, linear, spec.normEpsilon)
  new DecoderWriter(blocks, spec, options.weights).write()
  const { model, externalData, tensors } = builder.build(spec.architecture)
  const traits = decoderTraits(spec, tensors)
  return { model, externalData, traits, quantization: () => error.report(), fallbacks: linear.fallbacks }
}

class DecoderWriter {
  readonly #blocks: BlockWriter
  readonly #spec: DecoderSpec
  readonly #attention: AttentionWriter

  constructor(blocks: BlockWriter, spec: DecoderSpec, weights: WeightForm) {
    this.#blocks = blocks
    this.#spec = spec
    this.#attention = new AttentionWriter(blocks, spec, weights)
  }

  write(): void {
    const ids = this.#inputs()
    this.#rotary()
    let residual = this.#embed(ids)
    let delta: string | undefined
    this.#spec.layers.forEach((layer, index) => {
      const prefix = `layers.${index}`
      const attention = this.#blocks.addAndNorm(
        `${prefix}.attention_norm`,
        residual,
        delta,
        layer.attentionNorm,
      )
      delta = this.#attention.write(index, layer, attention.normed)
      delta = this.#blocks.norm(`${prefix}.attention_post_norm`, delta, layer.attentionPostNorm)
      const feedForward = this.#blocks.addAndNorm(
        `${prefix}.feed_forward_norm`,
        attention.residual,
        delta,
        layer.feedForwardNorm,
      )
      delta = this.#feedForward(`${prefix}.feed_forward`, layer, feedForward.normed)
      delta = this.#blocks.norm(`${prefix}.feed_forward_post_norm`, delta, layer.feedForwardPostNorm)
      residual = feedForward.residual
    })
    const { builder } = this.#blocks
    this.#logits(delta === undefined ? residual : builder.node('Add', 'hidden', [residual, delta]))
  }

  #inputs(): string {
    const { builder } = this.#blocks
    const { layers, kvHeads, headDim } = this.#spec
    const ids = builder.input('input_ids', 'int32', ['batch', 'sequence'])
    builder.input('seqlens_k', 'int32', ['batch'])
    builder.input('total_sequence_length', 'int32', [])
    builder.input('logits_index', 'int32', ['logits_rows'])
    builder.output('logits', 'float32', ['logits_rows', this.#spec.vocabSize])
    for (let layer = 0; layer < layers.length; layer++) {
      for (const part of ['key', 'value']) {
        const shape = ['batch', kvHeads, 'capacity', headDim]
        builder.input(`past_key_values.${layer}.${part}`, 'float32', shape)
        builder.output(`present.${layer}.${part}`, 'float32', shape)
      }
    }
    return ids
  }

  #rotary(): void {
    const { contextLength, headDim, rotaries } = this.#spec
    for (const [name, frequencies] of Object.entries(rotaries)) {
      const { cos, sin } = rotaryTables(frequencies, contextLength, headDim)
      this.#blocks.builder.vector(`${name}.cos`, cos, [contextLength, headDim / 2])
      this.#blocks.builder.vector(`${name}.sin`, sin, [contextLength, headDim / 2])
    }
  }

  #embed(ids: string): string {
    const { builder, linear } = this.#blocks
    const { embedding, embeddingScale } = this.#spec
    const rows = linear.embed(ids, embedding)
    if (embeddingScale === 1) return rows
    return builder.node('Mul', 'embedding.scaled', [rows, builder.scalar(embeddingScale)])
  }

  /** down(activation(gate(x)) · up(x)) */
  #feedForward(name: string, layer: DecoderLayer, input: string): string {
    const { builder } = this.#blocks
    const [gate = '', up = ''] = this.#blocks.project(input, [layer.gate, layer.up])
    const gated = builder.node('Mul', `${name}.gated`, [this.#activation(name, gate), up])
    const [down = ''] = this.#blocks.project(gated, [layer.down])
    return down
  }

  #activation(name: string, gate: string): string {
    const { builder } = this.#blocks
    if (this.#spec.activation === 'gelu-tanh')
      return builder.node('FastGelu', `${name}.gelu`, [gate], { domain: 'com.microsoft' })
    const sigmoid = builder.node('Sigmoid', `${name}.sigmoid`, [gate])
    return builder.node('Mul', `${name}.silu`, [gate, sigmoid])
  }

  /** Rows are picked before the last norm, so that a long prompt pays the norm and the projection only where it is asked. */
  #logits(hidden: string): void {
    const { builder, linear } = this.#blocks
    const { embedding, lmHead, finalNorm, hiddenSize, logitsSoftcap } = this.#spec
    const rows = builder.node('Reshape', 'hidden.rows', [hidden, builder.ints([-1, hiddenSize])])
    const picked = builder.node('Gather', 'hidden.picked', [rows, 'logits_index'])
    const normed = this.#blocks.norm('final_norm', picked, finalNorm)
    const table = lmHead ?? embedding
    if (logitsSoftcap === undefined) {
      linear.logits('logits', normed, table)
      return
    }
    const cap = builder.scalar(logitsSoftcap)
    const shrunk = builder.node('Div', 'logits.shrunk', [linear.logits('logits.raw', normed, table), cap])
    builder.node('Mul', 'logits', [builder.node('Tanh', 'logits.bent', [shrunk]), cap])
  }
}

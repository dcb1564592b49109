import type { GraphBuilder } from '../../packages/convert/src/onnx/graph-builder.ts'
import { BlockWriter } from '../../packages/convert/src/graph/block-writer.ts'
import type { DecoderLayer, DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import type { LinearForm } from '../../packages/convert/src/graph/linear.ts'
import { linearForm } from '../../packages/convert/src/graph/linear.ts'
import { QuantizationError } from '../../packages/convert/src/quantization/report.ts'
import type { WeightForm } from '../../packages/protocol/src/index.ts'

export interface ExportOptions {
  /** Of the caches, and of the logits. */
  readonly dtype: 'float32' | 'float16'
  /** Where a token's position comes from: an input, or from what the graph itself counts. */
  readonly positions: 'input' | 'counted'
  /** Of every token, of the last one of each row, or of as many as `num_logits_to_keep` says. */
  readonly logits?: 'all' | 'last' | 'kept'
  /** Of the matrices. Default fp32. */
  readonly weights?: WeightForm
}

/** Attention of one layer as an exporter writes it: a normed input in, what attention gives before its output matrix out. */
export interface AttentionExport {
  /** Once, before the layers. */
  prepare(): void
  attend(index: number, layer: DecoderLayer, input: string): string
}

/**
 * Writes a decoder as other people's exporters do: token ids of 64 bits, an attention mask, logits of every token. Only plain decoders without biases
 * in attention.
 */
export function exportDecoder(
  builder: GraphBuilder,
  spec: DecoderSpec,
  options: ExportOptions,
  attention: (blocks: BlockWriter) => AttentionExport,
): void {
  const linear = linearOf(builder, options)
  const blocks = new BlockWriter(builder, linear, spec.normEpsilon)
  builder.input('input_ids', 'int64', ['batch_size', 'sequence_length'])
  builder.input('attention_mask', 'int64', ['batch_size', 'total_sequence_length'])
  if (options.positions === 'input') builder.input('position_ids', 'int64', ['batch_size', 'sequence_length'])
  builder.output('logits', options.dtype, [
    'batch_size',
    options.logits === 'last' ? 1 : 'num_logits',
    spec.vocabSize,
  ])
  if (options.logits === 'kept') builder.input('num_logits_to_keep', 'int64', [])
  for (const [index] of spec.layers.entries()) {
    for (const part of ['key', 'value']) {
      const shape = (length: string) => ['batch_size', spec.kvHeads, length, spec.headDim]
      builder.input(`past_key_values.${index}.${part}`, options.dtype, shape('past_sequence_length'))
      builder.output(`present.${index}.${part}`, options.dtype, shape('total_sequence_length'))
    }
  }
  const writer = attention(blocks)
  writer.prepare()
  let hidden = linear.embed(tokenIds(builder, options), spec.embedding)
  for (const [index, layer] of spec.layers.entries()) {
    const name = `layers.${index}`
    const normed = blocks.norm(`${name}.attention_norm`, hidden, layer.attentionNorm)
    const [attended = ''] = blocks.project(writer.attend(index, layer, normed), [layer.output])
    hidden = builder.node('Add', `${name}.attended`, [hidden, attended])
    hidden = builder.node('Add', `${name}.fed`, [hidden, feedForward(blocks, index, layer, hidden)])
  }
  logits(blocks, spec, options, hidden)
}

function linearOf(builder: GraphBuilder, { weights = 'fp32' }: ExportOptions): LinearForm {
  return linearForm(weights, { builder, error: new QuantizationError(), logitsParts: 1 })
}

/** 64 bits; 32 where whole rows are found by elements, which are counted in 32. */
function tokenIds(builder: GraphBuilder, { weights }: ExportOptions): string {
  if (weights !== 'int8') return 'input_ids'
  return builder.node('Cast', 'input_ids.int32', ['input_ids'], { attributes: { to: 6 } })
}

function feedForward(blocks: BlockWriter, index: number, layer: DecoderLayer, hidden: string): string {
  const { builder } = blocks
  const name = `layers.${index}.feed_forward`
  const normed = blocks.norm(`${name}_norm`, hidden, layer.feedForwardNorm)
  const [gate = '', up = ''] = blocks.project(normed, [layer.gate, layer.up])
  const sigmoid = builder.node('Sigmoid', `${name}.sigmoid`, [gate])
  const silu = builder.node('Mul', `${name}.silu`, [gate, sigmoid])
  const gated = builder.node('Mul', `${name}.gated`, [silu, up])
  const [down = ''] = blocks.project(gated, [layer.down])
  return down
}

function logits(blocks: BlockWriter, spec: DecoderSpec, options: ExportOptions, hidden: string): void {
  const { builder, linear } = blocks
  const wanted = wantedRows(builder, options, hidden)
  const normed = blocks.norm('final_norm', wanted, spec.finalNorm)
  const flat = builder.node('Reshape', 'hidden.flat', [normed, builder.ints([-1, spec.hiddenSize])])
  const raw = linear.logits('logits.flat', flat, spec.lmHead ?? spec.embedding)
  const width = shapeOf(builder, wanted, 1, 'logits.width')
  const shape = [builder.ints([-1]), builder.node('Reshape', 'logits.widths', [width, builder.ints([1])])]
  const dims = builder.node('Concat', 'logits.dims', [...shape, builder.ints([spec.vocabSize])], {
    attributes: { axis: 0 },
  })
  cast(builder, builder.node('Reshape', 'logits.floats', [raw, dims]), options.dtype, 'logits')
}

/** hidden[:, −n:], as Hugging Face has it: n = 0 is all. */
function wantedRows(builder: GraphBuilder, { logits = 'all' }: ExportOptions, hidden: string): string {
  if (logits === 'all') return hidden
  const kept = logits === 'last' ? builder.ints([1]) : 'num_logits_to_keep'
  const count = builder.node('Reshape', 'kept.count', [kept, builder.ints([1])])
  const start = builder.node('Neg', 'kept.start', [count])
  const end = builder.ints([2 ** 31])
  return builder.node('Slice', 'hidden.kept', [hidden, start, end, builder.ints([1])])
}

/** Of what dtype a tensor of floats is to be; `Identity` where it is so already. */
export function cast(
  builder: GraphBuilder,
  input: string,
  dtype: ExportOptions['dtype'],
  output: string,
): string {
  if (dtype === 'float32') return builder.node('Identity', output, [input])
  return builder.node('Cast', output, [input], { attributes: { to: 10 } })
}

/** One size of a tensor, a scalar int64. */
export function shapeOf(builder: GraphBuilder, tensor: string, axis: number, name: string): string {
  const shape = builder.node('Shape', `${name}.shape`, [tensor])
  const index = builder.constant(`index.${axis}`, BigInt64Array.of(BigInt(axis)), [])
  return builder.node('Gather', name, [shape, index], { attributes: { axis: 0 } })
}

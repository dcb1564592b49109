import { GraphBuilder } from '../../packages/convert/src/onnx/graph-builder.ts'
import { inlined } from '../foreign/write-foreign.ts'
import type { EncoderSpec } from './encoder-spec.ts'
import { OnnxBlocks } from './onnx-blocks.ts'

/** A BERT as optimum exports it, weights in the file. */
export function exportEncoder(spec: EncoderSpec): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder('weights')
  const blocks = new OnnxBlocks(builder, spec.hiddenSize, spec.heads)
  const shape = ['batch_size', 'sequence_length']
  for (const name of ['input_ids', 'attention_mask', 'token_type_ids']) builder.input(name, 'int64', shape)
  let hidden = embeddings(blocks, spec)
  const mask = attentionMask(builder)
  for (const [index, layer] of spec.layers.entries()) {
    const name = `layer.${index}`
    const heads = (part: 'query' | 'key' | 'value') =>
      blocks.heads(`${name}.${part}s`, blocks.linear(`${name}.${part}`, hidden, layer[part]))
    const mixed = blocks.attend(`${name}.attention`, heads('query'), heads('key'), heads('value'), mask)
    const sum = builder.node('Add', `${name}.sum`, [
      hidden,
      blocks.linear(`${name}.output`, mixed, layer.output),
    ])
    const attended = blocks.norm(`${name}.attention_norm`, sum, layer.attentionNorm)
    hidden = blocks.feedForward(`${name}.feed_forward`, attended, layer.up, layer.down, layer.outputNorm)
  }
  output(blocks, spec, hidden)
  return finished(builder)
}

/** The file of a graph that is complete, weights within it. */
export function finished(builder: GraphBuilder): Uint8Array<ArrayBuffer> {
  const { model, externalData } = builder.build('test')
  return Uint8Array.from(inlined(model, new Uint8Array(Buffer.concat([...externalData.chunks()]))))
}

function embeddings(blocks: OnnxBlocks, spec: EncoderSpec): string {
  const { builder } = blocks
  const words = blocks.gather('words', spec.words, spec.vocabSize, 'input_ids')
  const types = blocks.gather('types', spec.types, 2, 'token_type_ids')
  const positions = blocks.gather(
    'positions',
    spec.positions,
    spec.maxPositions,
    blocks.positions('input_ids'),
  )
  const typed = builder.node('Add', 'typed', [words, types])
  return blocks.norm(
    'embedding_norm',
    builder.node('Add', 'embedded', [typed, positions]),
    spec.embeddingNorm,
  )
}

/** 0 where there is a token, −10000 where there is none, [B, 1, 1, S]. */
function attentionMask(builder: GraphBuilder): string {
  const float = builder.node('Cast', 'mask.float', ['attention_mask'], { attributes: { to: 1 } })
  const missing = builder.node('Sub', 'mask.missing', [float, builder.scalar(1)])
  const large = builder.node('Mul', 'mask.large', [missing, builder.scalar(10_000)])
  return builder.node('Unsqueeze', 'mask', [large, builder.ints([1, 2])])
}

function output(blocks: OnnxBlocks, { head, hiddenSize }: EncoderSpec, hidden: string): void {
  const { builder } = blocks
  if (head === undefined) {
    builder.node('Identity', 'last_hidden_state', [hidden])
    builder.output('last_hidden_state', 'float32', ['batch_size', 'sequence_length', hiddenSize])
    return
  }
  if (head.of === 'every') {
    builder.node('Identity', 'logits', [blocks.linear('head', hidden, head.linear)])
    builder.output('logits', 'float32', ['batch_size', 'sequence_length', head.labels])
    return
  }
  const zero = builder.constant('int.0', BigInt64Array.of(0n), [])
  const first = builder.node('Gather', 'first', [hidden, zero], { attributes: { axis: 1 } })
  builder.node('Identity', 'logits', [blocks.linear('head', first, head.linear)])
  builder.output('logits', 'float32', ['batch_size', head.labels])
}

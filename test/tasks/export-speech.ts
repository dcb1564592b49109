import { GraphBuilder } from '../../packages/convert/src/onnx/graph-builder.ts'
import { finished } from './export-encoder.ts'
import { OnnxBlocks } from './onnx-blocks.ts'
import type { DecoderLayer, SpeechSpec } from './speech-spec.ts'

/**
 * The encoder, to `last_hidden_state` [B, frames, hiddenSize].
 * @param input `input_values` [B, frames · frameSize] as Moonshine reads them, or `input_features` [B, frameSize, frames] as Whisper does.
 */
export function exportSpeechEncoder(
  spec: SpeechSpec,
  input: 'input_values' | 'input_features' = 'input_values',
): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder('weights')
  const blocks = new OnnxBlocks(builder, spec.hiddenSize, spec.heads)
  let hidden = blocks.linear('frames', framesOf(builder, spec, input), spec.frames)
  for (const [index, layer] of spec.encoder.entries()) {
    const name = `encoder.${index}`
    const heads = (part: 'query' | 'key' | 'value') =>
      blocks.heads(`${name}.${part}s`, blocks.linear(`${name}.${part}`, hidden, layer[part]))
    const mixed = blocks.attend(`${name}.attention`, heads('query'), heads('key'), heads('value'))
    const sum = builder.node('Add', `${name}.sum`, [
      hidden,
      blocks.linear(`${name}.output`, mixed, layer.output),
    ])
    hidden = blocks.feedForward(
      `${name}.fed`,
      blocks.norm(`${name}.norm`, sum, layer.attentionNorm),
      layer.up,
      layer.down,
      layer.outputNorm,
    )
  }
  builder.node('Identity', 'last_hidden_state', [hidden])
  builder.output('last_hidden_state', 'float32', ['batch_size', 'num_frames', spec.hiddenSize])
  return finished(builder)
}

/** [B, frames, frameSize]. */
function framesOf(
  builder: GraphBuilder,
  { frameSize }: SpeechSpec,
  input: 'input_values' | 'input_features',
): string {
  if (input === 'input_values') {
    builder.input(input, 'float32', ['batch_size', 'num_samples'])
    return builder.node('Reshape', 'framed', [input, builder.ints([0, -1, frameSize])])
  }
  builder.input(input, 'float32', ['batch_size', frameSize, 'num_frames'])
  return builder.node('Transpose', 'framed', [input], { attributes: { perm: [0, 2, 1] } })
}

/** The decoder's first pass, over a whole prompt (`first`), or a later one over one token and what was kept (`next`), as optimum writes both. */
export function exportSpeechDecoder(spec: SpeechSpec, pass: 'first' | 'next'): Uint8Array<ArrayBuffer> {
  const builder = new GraphBuilder('weights')
  const blocks = new OnnxBlocks(builder, spec.hiddenSize, spec.heads)
  builder.input('input_ids', 'int64', ['batch_size', 'length'])
  if (pass === 'first')
    builder.input('encoder_hidden_states', 'float32', ['batch_size', 'num_frames', spec.hiddenSize])
  const words = blocks.gather('words', spec.words, spec.vocabSize, 'input_ids')
  const places = pass === 'first' ? blocks.positions('input_ids') : nextPosition(builder)
  let hidden = builder.node('Add', 'embedded', [
    words,
    blocks.gather('positions', spec.positions, spec.maxPositions, places),
  ])
  const mask = pass === 'first' ? causalMask(blocks) : undefined
  for (const [index, layer] of spec.decoder.entries())
    hidden = decoderLayer(blocks, mask, spec, pass, index, layer, hidden)
  builder.node('Identity', 'logits', [blocks.linear('head', hidden, spec.logits)])
  builder.output('logits', 'float32', ['batch_size', 'length', spec.vocabSize])
  return finished(builder)
}

function decoderLayer(
  blocks: OnnxBlocks,
  mask: string | undefined,
  spec: SpeechSpec,
  pass: 'first' | 'next',
  index: number,
  layer: DecoderLayer,
  hidden: string,
): string {
  const { builder } = blocks
  const name = `decoder.${index}`
  const own = (part: 'query' | 'key' | 'value') =>
    blocks.heads(`${name}.${part}s`, blocks.linear(`${name}.${part}`, hidden, layer[part]))
  const kept = (kind: 'decoder' | 'encoder', part: 'key' | 'value', fresh: () => string): string => {
    const [past, present] = [`past_key_values.${index}.${kind}.${part}`, `present.${index}.${kind}.${part}`]
    const shape = ['batch_size', spec.heads, `${kind}_length`, spec.hiddenSize / spec.heads]
    if (pass === 'next') builder.input(past, 'float32', shape)
    if (pass === 'next' && kind === 'encoder') return past
    const made = fresh()
    const whole =
      pass === 'next'
        ? builder.node('Concat', present, [past, made], { attributes: { axis: 2 } })
        : builder.node('Identity', present, [made])
    builder.output(present, 'float32', shape)
    return whole
  }
  const [key, value] = (['key', 'value'] as const).map((part) => kept('decoder', part, () => own(part)))
  const mixed = blocks.attend(`${name}.attention`, own('query'), key ?? '', value ?? '', mask)
  const sum = builder.node('Add', `${name}.sum`, [
    hidden,
    blocks.linear(`${name}.output`, mixed, layer.output),
  ])
  const attended = blocks.norm(`${name}.norm`, sum, layer.attentionNorm)
  const { cross } = layer
  const ofEncoder = (part: 'key' | 'value') =>
    kept('encoder', part, () =>
      blocks.heads(
        `${name}.cross.${part}s`,
        blocks.linear(`${name}.cross.${part}`, 'encoder_hidden_states', cross[part]),
      ),
    )
  const asked = blocks.heads(
    `${name}.cross.queries`,
    blocks.linear(`${name}.cross.query`, attended, cross.query),
  )
  const heard = blocks.attend(`${name}.cross`, asked, ofEncoder('key'), ofEncoder('value'))
  const both = builder.node('Add', `${name}.cross.sum`, [
    attended,
    blocks.linear(`${name}.cross.output`, heard, cross.output),
  ])
  return blocks.feedForward(
    `${name}.fed`,
    blocks.norm(`${name}.cross.norm`, both, cross.norm),
    layer.up,
    layer.down,
    layer.outputNorm,
  )
}

/** [1], how much is kept already. */
function nextPosition(builder: GraphBuilder): string {
  const shape = builder.node('Shape', 'past.shape', ['past_key_values.0.decoder.key'])
  return builder.node('Gather', 'past.length', [shape, builder.ints([2])], { attributes: { axis: 0 } })
}

/** 0 up to the query's own place, −10000 behind it; [S, S]. */
function causalMask({ builder }: OnnxBlocks): string {
  const places = 'input_ids.positions'
  const rows = builder.node('Unsqueeze', 'mask.rows', [places, builder.ints([1])])
  const columns = builder.node('Unsqueeze', 'mask.columns', [places, builder.ints([0])])
  const later = builder.node(
    'Cast',
    'mask.later',
    [builder.node('Greater', 'mask.greater', [columns, rows])],
    { attributes: { to: 1 } },
  )
  return builder.node('Mul', 'mask', [later, builder.scalar(-10_000)])
}

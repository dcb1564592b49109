import type { DecoderSpec } from '../../../convert/src/graph/decoder-spec.ts'
import type { Matrix } from '../../../convert/src/graph/matrix.ts'
import { fromFloat16, toFloat16 } from '../../../convert/src/quantization/float16.ts'
import { quantizeQ4 } from '../../../convert/src/quantization/q4.ts'
import type { Q4Matrix } from '../../../convert/src/quantization/q4-matrix.ts'
import { Q4_BLOCK, restoreQ4 } from '../../../convert/src/quantization/q4-matrix.ts'

/**
 * The same decoder with every matrix in blocks that GGUF's Q4_0, MatMulNBits and our own kernels hold without rounding: 32 weights of 4 bits and a scale of half
 * precision. What is written of it in any of these forms has the same weights, bit for bit.
 *
 * @param numSilent so many first tokens have an embedding of zeros: their logit is 0, so that a model of random weights never says them.
 */
export function inQ4Blocks(spec: DecoderSpec, numSilent: number): DecoderSpec {
  const { embedding } = spec
  const rows = embedding.read(0, embedding.rows).slice()
  rows.fill(0, 0, numSilent * embedding.columns)
  return {
    ...spec,
    embedding: blocked(embedding, rows),
    layers: spec.layers.map((layer) => ({
      ...layer,
      query: blocked(layer.query),
      key: blocked(layer.key),
      value: blocked(layer.value),
      output: blocked(layer.output),
      gate: blocked(layer.gate),
      up: blocked(layer.up),
      down: blocked(layer.down),
    })),
  }
}

function blocked(matrix: Matrix, data = matrix.read(0, matrix.rows)): Matrix {
  const { name, rows, columns } = matrix
  const { values, scales } = quantizeQ4(data)
  const whole: Q4Matrix = { values, scales: fromFloat16(toFloat16(scales)) }
  const blocks = (begin: number, end: number): Q4Matrix => ({
    values: whole.values.subarray((begin * columns) / 2, (end * columns) / 2),
    scales: whole.scales.subarray((begin * columns) / Q4_BLOCK, (end * columns) / Q4_BLOCK),
  })
  return { name, rows, columns, blocks, read: (begin, end) => restoreQ4(blocks(begin, end)) }
}

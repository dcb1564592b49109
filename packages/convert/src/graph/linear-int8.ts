import type { GraphBuilder } from '../onnx/graph-builder.ts'
import { bytesOf } from '../onnx/tensor-data.ts'
import { quantizeInt8, restoreInt8 } from '../quantization/int8.ts'
import type { QuantizationError } from '../quantization/report.ts'
import type { LinearForm, LinearOptions } from './linear.ts'
import { rowRanges } from './matrix.ts'
import type { Matrix } from './matrix.ts'
import { transposed } from './transpose.ts'

/** Activations as uint8 with one scale per row: x ≈ (values − 128) / 127 · scale. */
interface Quantized {
  readonly values: string
  /** [..., 1] */
  readonly scale: string
}

/**
 * Dynamic int8 for the wasm provider. Each row of activations is divided by its own largest magnitude first: onnxruntime's stock
 * form takes one scale for the whole batch, so that a row's logits would move with its batch mates.
 * Measured in Node on the wasm provider, one thread, and equal: int8 or uint8 weights (288 × 768: 0.042 ms a row, 0.44 ms 64 rows, both),
 * gate and up packed in one matrix or apart (0.073 and 0.071 ms). So weights are int8, which need no zero point, and nothing is split after.
 */
export class Int8Linear implements LinearForm {
  readonly fallbacks: readonly string[] = []
  readonly #builder: GraphBuilder
  readonly #error: QuantizationError
  readonly #logitsParts: number

  constructor({ builder, error, logitsParts }: LinearOptions) {
    this.#builder = builder
    this.#error = error
    this.#logitsParts = logitsParts
  }

  project(input: string, matrices: readonly Matrix[]): string[] {
    const quantized = this.#quantize(input)
    return matrices.map((matrix) => {
      const { name, rows, columns } = matrix
      this.#store(matrix, 1, [columns, rows])
      const product = this.#multiply(`${name}.unscaled`, quantized, `${name}.weight`, `${name}.scales`)
      return this.#builder.node('Mul', `${name}.product`, [product, quantized.scale])
    })
  }

  /**
   * The table lies as the output projection wants it, [parts, columns, rows/parts]; the embedding picks its elements from a flat
   * view of the same bytes: element d of token t is at part·columns·width + d·width + (t mod width), width = rows/parts.
   */
  embed(ids: string, table: Matrix): string {
    const builder = this.#builder
    const { name, rows, columns } = table
    this.#storeTable(table)
    const width = rows / this.#logitsParts
    const flat = builder.view(`${name}.flat`, `${name}.weight`, [rows * columns], 0, rows * columns)
    const strides = builder.constant(
      `${name}.strides`,
      Int32Array.from({ length: columns }, (_, d) => d * width),
      [columns],
    )
    const first = builder.node('Unsqueeze', `${name}.first`, [
      this.#firstElement(ids, table, width),
      builder.ints([-1]),
    ])
    const elements = builder.node('Add', `${name}.elements`, [first, strides])
    const values = builder.node('Gather', `${name}.values`, [flat, elements])
    const scaleColumn = builder.view(`${name}.scale_column`, `${name}.scales`, [rows, 1], 0, 4 * rows)
    const scales = builder.node('Gather', `${name}.row_scales`, [scaleColumn, ids])
    const floats = builder.node('Cast', `${name}.floats`, [values], { attributes: { to: 1 } })
    return builder.node('Mul', `${name}.rows`, [floats, scales])
  }

  logits(output: string, hidden: string, table: Matrix): string {
    const builder = this.#builder
    const { name, rows, columns } = table
    this.#storeTable(table)
    const quantized = this.#quantize(hidden)
    const width = rows / this.#logitsParts
    const products = Array.from({ length: this.#logitsParts }, (_, part) => {
      const bytes = columns * width
      const weight = builder.view(
        `${name}.part.${part}`,
        `${name}.weight`,
        [columns, width],
        part * bytes,
        bytes,
      )
      const scale = builder.view(
        `${name}.part.${part}.scales`,
        `${name}.scales`,
        [width],
        part * 4 * width,
        4 * width,
      )
      return this.#multiply(`${name}.part.${part}.unscaled`, quantized, weight, scale)
    })
    const [only] = products
    const unscaled =
      products.length === 1 && only !== undefined
        ? only
        : builder.node('Concat', `${name}.unscaled`, products, { attributes: { axis: -1 } })
    return builder.node('Mul', output, [unscaled, quantized.scale])
  }

  #firstElement(ids: string, { name, columns }: Matrix, width: number): string {
    if (this.#logitsParts === 1) return ids
    const builder = this.#builder
    const int = (value: number): string => builder.constant(`int.${value}`, Int32Array.of(value), [])
    const part = builder.node('Div', `${name}.part_of_id`, [ids, int(width)])
    // part·columns·width + (id − part·width) = id + part·(columns − 1)·width
    const skipped = builder.node('Mul', `${name}.skipped`, [part, int((columns - 1) * width)])
    return builder.node('Add', `${name}.element_of_id`, [ids, skipped])
  }

  #storeTable(table: Matrix): void {
    this.#store(table, this.#logitsParts, [this.#logitsParts, table.columns, table.rows / this.#logitsParts])
  }

  /** Each part of the rows is transposed by itself: [parts, columns, rows/parts]. */
  #store(matrix: Matrix, parts: number, dims: readonly number[]): void {
    const { name, rows, columns } = matrix
    const error = this.#error
    const width = rows / parts
    const scales = new Float32Array(rows)
    this.#builder.weight(`${name}.weight`, {
      type: 'int8',
      dims,
      listed: { dtype: 'int8', shape: [parts, columns, width] },
      *produce() {
        for (let begin = 0; begin < rows; begin += width) {
          const values = new Int8Array(width * columns)
          for (const [from, to] of rowRanges({ rows: width, columns })) {
            const original = matrix.read(begin + from, begin + to)
            const some = quantizeInt8(original, columns)
            error.add(name, original, restoreInt8(some))
            values.set(some.values, from * columns)
            scales.set(some.scales, begin + from)
          }
          yield bytesOf(transposed(values, width, columns))
        }
      },
    })
    this.#builder.vector(`${name}.scales`, scales) // produced after the values, which fill them in
  }

  #quantize(input: string): Quantized {
    const builder = this.#builder
    const magnitudes = builder.node('Abs', `${input}.magnitudes`, [input])
    const attributes = { keepdims: 1 }
    const largest = builder.node('ReduceMax', `${input}.largest`, [magnitudes, builder.ints([-1])], {
      attributes,
    })
    const scale = builder.node('Max', `${input}.scale`, [largest, builder.scalar(SMALLEST_SCALE)])
    const normalized = builder.node('Div', `${input}.normalized`, [input, scale])
    const values = builder.node('QuantizeLinear', `${input}.int8`, [normalized, this.#step(), this.#zero()])
    return { values, scale }
  }

  /** Everything but the rows' own scale. */
  #multiply(name: string, { values }: Quantized, weight: string, scales: string): string {
    const inputs = [values, weight, this.#step(), scales, this.#zero()]
    return this.#builder.node('MatMulIntegerToFloat', name, inputs, { domain: 'com.microsoft' })
  }

  #step(): string {
    return this.#builder.scalar(1 / 127)
  }

  #zero(): string {
    return this.#builder.constant('const.uint8.128', Uint8Array.of(128), [])
  }
}

/** A row of zeros must not divide by zero. */
const SMALLEST_SCALE = 1e-12

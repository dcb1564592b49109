import type { WeightForm } from '@tabserve/protocol'
import type { GraphBuilder } from '../onnx/graph-builder.ts'
import type { QuantizationError } from '../quantization/report.ts'
import { FloatLinear } from './linear-float.ts'
import { Int8Linear } from './linear-int8.ts'
import { Q4Linear } from './linear-q4.ts'
import type { Matrix } from './matrix.ts'

/** How a graph multiplies by its matrices: one implementation for each weight form. Strings are names of tensors in the graph. */
export interface LinearForm {
  /** input [..., columns] times each matrix → [..., rows] each, biases left out. Together, so that the input is prepared once. */
  project(input: string, matrices: readonly Matrix[]): string[]
  /** ids int32 [B, S] → rows of the table, float32 [B, S, columns]. */
  embed(ids: string, table: Matrix): string
  /** hidden [N, columns] → `output` [N, rows]. A table that `embed` was given before is stored once. */
  logits(output: string, hidden: string, table: Matrix): string
  /** Matrices that this form could not hold and that stayed fp32. */
  readonly fallbacks: readonly string[]
}

export interface LinearOptions {
  readonly builder: GraphBuilder
  readonly error: QuantizationError
  /** Number of column parts of the int8 output projection. */
  readonly logitsParts: number
}

export function linearForm(form: WeightForm, options: LinearOptions): LinearForm {
  switch (form) {
    case 'fp32':
      return new FloatLinear(options.builder)
    case 'fp16':
      return new FloatLinear(options.builder, options.error)
    case 'int8':
      return new Int8Linear(options)
    case 'q4':
      return new Q4Linear(options)
  }
}

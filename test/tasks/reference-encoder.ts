import type { EncoderLayer, EncoderSpec, Linear, Norm } from './encoder-spec.ts'

type Vector = readonly number[]

/** A BERT in float64, token by token, without a batch or padding. The last hidden states, or logits: of every token, or one row. */
export function referenceEncoder(
  spec: EncoderSpec,
  ids: readonly number[],
  types: readonly number[] = [],
): Vector[] {
  const { hiddenSize } = spec
  let hidden = ids.map((id, position) => {
    const parts = [
      row(spec.words, id, hiddenSize),
      row(spec.positions, position, hiddenSize),
      row(spec.types, types[position] ?? 0, hiddenSize),
    ]
    return norm(parts.reduce(add), spec.embeddingNorm)
  })
  for (const layer of spec.layers) hidden = encoderLayer(layer, hidden, spec.heads)
  const { head } = spec
  if (head === undefined) return hidden
  return (head.of === 'first' ? hidden.slice(0, 1) : hidden).map((vector) => linear(vector, head.linear))
}

function encoderLayer(layer: EncoderLayer, hidden: readonly Vector[], heads: number): Vector[] {
  const mixed = attention(
    hidden.map((vector) => linear(vector, layer.query)),
    hidden.map((vector) => linear(vector, layer.key)),
    hidden.map((vector) => linear(vector, layer.value)),
    heads,
  )
  return mixed.map((vector, at) => {
    const attended = norm(add(hidden[at] ?? [], linear(vector, layer.output)), layer.attentionNorm)
    const raised = linear(attended, layer.up).map(gelu)
    return norm(add(attended, linear(raised, layer.down)), layer.outputNorm)
  })
}

/** Every query over the first `seen(query's index)` keys; all, where nobody says. */
export function attention(
  queries: readonly Vector[],
  keys: readonly Vector[],
  values: readonly Vector[],
  heads: number,
  seen: (query: number) => number = () => keys.length,
): Vector[] {
  return queries.map((query, at) => {
    const size = query.length / heads
    return Array.from({ length: heads }, (_, head) => {
      const part = (vector: Vector) => vector.slice(head * size, (head + 1) * size)
      const visible = keys.slice(0, seen(at))
      const weights = softmax(visible.map((key) => dot(part(query), part(key)) / Math.sqrt(size)))
      return values
        .slice(0, visible.length)
        .map((value, index): Vector => part(value).map((each) => each * (weights[index] ?? 0)))
        .reduce(add)
    }).flat()
  })
}

export function linear(vector: Vector, { weight, bias }: Linear): Vector {
  return Array.from(bias, (start, output) =>
    vector.reduce((sum, value, input) => sum + value * (weight[input * bias.length + output] ?? 0), start),
  )
}

export function norm(vector: Vector, { scale, bias }: Norm): Vector {
  const mean = vector.reduce((sum, value) => sum + value, 0) / vector.length
  const variance = vector.reduce((sum, value) => sum + (value - mean) ** 2, 0) / vector.length
  return vector.map(
    (value, at) => ((value - mean) / Math.sqrt(variance + 1e-12)) * (scale[at] ?? 0) + (bias[at] ?? 0),
  )
}

export function add(a: Vector, b: Vector): Vector {
  return a.map((value, at) => value + (b[at] ?? 0))
}

export function row(table: Float32Array, index: number, width: number): Vector {
  return [...table.subarray(index * width, (index + 1) * width)]
}

export function gelu(x: number): number {
  return (x / 2) * (1 + erf(x / Math.SQRT2))
}

function softmax(values: Vector): Vector {
  const largest = Math.max(...values)
  const weights = values.map((value) => Math.exp(value - largest))
  const total = weights.reduce((sum, weight) => sum + weight, 0)
  return weights.map((weight) => weight / total)
}

function dot(a: Vector, b: Vector): number {
  return a.reduce((sum, value, at) => sum + value * (b[at] ?? 0), 0)
}

/** By its series, which converges wherever a test looks. */
function erf(x: number): number {
  if (Math.abs(x) > 4) return Math.sign(x)
  let [sum, term] = [x, x]
  for (let n = 1; Math.abs(term) > 1e-17; n++) {
    term *= (-x * x) / n
    sum += term / (2 * n + 1)
  }
  return (2 / Math.sqrt(Math.PI)) * sum
}

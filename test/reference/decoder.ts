import type { DecoderLayer, DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import type { Matrix } from '../../packages/convert/src/graph/matrix.ts'

/**
 * A decoder of the Llama family in float64, written from its definition and sharing no arithmetic with `convert`, onnxruntime or the
 * kernels: RMS norm (Zhang and Sennrich, 2019), rotary embedding on halves (Su et al., 2021, in Hugging Face's order), grouped-query
 * attention (Ainslie et al., 2023), gated feed-forward (Shazeer, 2020), and what Qwen and Gemma add to them. One token at a time, with
 * a cache of keys and values; slow, and meant for tiny models.
 */
export class ReferenceDecoder {
  readonly #spec: DecoderSpec
  readonly #matrices = new Map<Matrix, Float64Array>()
  /** Keys and values of each layer, one entry a position. */
  readonly #cache: { readonly keys: Float64Array[]; readonly values: Float64Array[] }[]

  constructor(spec: DecoderSpec) {
    this.#spec = spec
    this.#cache = spec.layers.map(() => ({ keys: [], values: [] }))
  }

  /** Reads one more token and gives the logits of what may follow it, [vocabSize]. */
  next(token: number): Float64Array {
    const { embedding, embeddingScale, layers, finalNorm, lmHead, logitsSoftcap } = this.#spec
    const { columns } = embedding
    let hidden: Float64Array = this.#weights(embedding)
      .slice(token * columns, (token + 1) * columns)
      .map((value) => value * embeddingScale)
    layers.forEach((layer, index) => {
      const attended = this.#attention(index, layer, this.#norm(hidden, layer.attentionNorm))
      hidden = sum(hidden, this.#norm(attended, layer.attentionPostNorm))
      const fed = this.#feedForward(layer, this.#norm(hidden, layer.feedForwardNorm))
      hidden = sum(hidden, this.#norm(fed, layer.feedForwardPostNorm))
    })
    const logits = this.#multiply(lmHead ?? embedding, this.#norm(hidden, finalNorm))
    return logits.map((logit) => capped(logit, logitsSoftcap))
  }

  #attention(index: number, layer: DecoderLayer, input: Float64Array): Float64Array {
    const { heads, kvHeads, headDim, attentionScale, attentionSoftcap } = this.#spec
    const cache = this.#cache[index]!
    const position = cache.keys.length
    const turned = (projected: Float64Array, norm: Float32Array | undefined): Float64Array =>
      perHead(projected, headDim, (head) => this.#turn(this.#norm(head, norm), layer, position))
    const query = turned(this.#multiply(layer.query, input), layer.queryNorm)
    cache.keys.push(turned(this.#multiply(layer.key, input), layer.keyNorm))
    cache.values.push(this.#multiply(layer.value, input))
    const first = layer.window === 0 ? 0 : Math.max(0, position + 1 - layer.window)
    const output = new Float64Array(heads * headDim)
    for (let head = 0; head < heads; head++) {
      const kvBegin = Math.trunc((head * kvHeads) / heads) * headDim
      const q = query.subarray(head * headDim, (head + 1) * headDim)
      const scores = cache.keys.slice(first).map((keys) => {
        const score = attentionScale * dot(q, keys.subarray(kvBegin, kvBegin + headDim))
        return capped(score, attentionSoftcap)
      })
      softmax(scores).forEach((weight, seen) => {
        const values = cache.values[first + seen]!
        for (let i = 0; i < headDim; i++) output[head * headDim + i]! += weight * values[kvBegin + i]!
      })
    }
    return this.#multiply(layer.output, output)
  }

  #feedForward({ gate, up, down }: DecoderLayer, input: Float64Array): Float64Array {
    const activated = this.#multiply(gate, input).map(this.#spec.activation === 'silu' ? silu : geluTanh)
    const ups = this.#multiply(up, input)
    return this.#multiply(
      down,
      activated.map((value, i) => value * ups[i]!),
    )
  }

  /** The input itself where there is no norm. */
  #norm(input: Float64Array, weight: Float32Array | undefined): Float64Array {
    if (weight === undefined) return input
    const meanSquare = dot(input, input) / input.length
    const factor = 1 / Math.sqrt(meanSquare + this.#spec.normEpsilon)
    return input.map((value, i) => value * factor * weight[i]!)
  }

  /** Element i and element i + size/2 turn together. */
  #turn(head: Float64Array, layer: DecoderLayer, position: number): Float64Array {
    const { frequencies, magnitude } = this.#spec.rotaries[layer.rotary]!
    const half = head.length / 2
    const turned = head.slice()
    frequencies.forEach((frequency, i) => {
      const cos = Math.cos(position * frequency) * magnitude
      const sin = Math.sin(position * frequency) * magnitude
      turned[i] = head[i]! * cos - head[i + half]! * sin
      turned[i + half] = head[i + half]! * cos + head[i]! * sin
    })
    return turned
  }

  /** Matrix times vector, plus the bias. */
  #multiply(matrix: Matrix, input: Float64Array): Float64Array {
    const weights = this.#weights(matrix)
    return Float64Array.from(
      { length: matrix.rows },
      (_, row) =>
        dot(weights.subarray(row * matrix.columns, (row + 1) * matrix.columns), input) +
        (matrix.bias?.[row] ?? 0),
    )
  }

  #weights(matrix: Matrix): Float64Array {
    const known = this.#matrices.get(matrix) ?? Float64Array.from(matrix.read(0, matrix.rows))
    this.#matrices.set(matrix, known)
    return known
  }
}

function perHead(
  values: Float64Array,
  headDim: number,
  change: (head: Float64Array) => Float64Array,
): Float64Array {
  const changed = new Float64Array(values.length)
  for (let begin = 0; begin < values.length; begin += headDim)
    changed.set(change(values.subarray(begin, begin + headDim)), begin)
  return changed
}

function dot(a: Float64Array, b: Float64Array): number {
  let total = 0
  for (let i = 0; i < a.length; i++) total += a[i]! * b[i]!
  return total
}

function sum(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((value, i) => value + b[i]!)
}

function softmax(scores: readonly number[]): number[] {
  const largest = Math.max(...scores)
  const powers = scores.map((score) => Math.exp(score - largest))
  const total = powers.reduce((a, b) => a + b, 0)
  return powers.map((power) => power / total)
}

function capped(value: number, cap: number | undefined): number {
  return cap === undefined ? value : cap * Math.tanh(value / cap)
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x))
}

/** GELU in its tanh form (Hendrycks and Gimpel, 2016). */
function geluTanh(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
}

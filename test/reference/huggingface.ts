import type { TinyModel } from '../../packages/convert/test/architecture-fixture.ts'

type Numbers = Readonly<Record<string, unknown>>

/**
 * The decoders of Hugging Face's transformers (modeling_llama, _mistral, _qwen2, _qwen3, _gemma2, _gemma3) in float64, straight from
 * a config.json and weights by their published names, every token computed anew without a cache: what our mapping of configurations
 * and names is checked against. It knows nothing of `convert`.
 */
export class HuggingFaceReference {
  readonly #config: Numbers
  readonly #model: TinyModel
  readonly #tokens: number[] = []

  constructor(model: TinyModel) {
    this.#config = model.config
    this.#model = model
  }

  next(token: number): Float64Array {
    this.#tokens.push(token)
    const width = this.#number('hidden_size')
    const table = this.#weight('model.embed_tokens.weight')
    const gemma = this.#type.startsWith('gemma')
    const scale = gemma ? Math.sqrt(width) : 1
    let hidden: Float64Array[] = this.#tokens.map((id) =>
      Float64Array.from(table.subarray(id * width, (id + 1) * width), (x) => x * scale),
    )
    for (let layer = 0; layer < this.#number('num_hidden_layers'); layer++)
      hidden = this.#layer(layer, hidden)
    const last = this.#norm('model.norm', hidden.at(-1)!)
    const head = this.#config['tie_word_embeddings'] === false ? 'lm_head' : 'model.embed_tokens'
    const cap = this.#config['final_logit_softcapping']
    return this.#linear(head, last).map((x) => (typeof cap === 'number' ? Math.tanh(x / cap) * cap : x))
  }

  #layer(layer: number, input: readonly Float64Array[]): Float64Array[] {
    const at = (name: string): string => `model.layers.${layer}.${name}`
    const gemma = this.#type.startsWith('gemma')
    const normed = input.map((row) => this.#norm(at('input_layernorm'), row))
    const attended = this.#attention(layer, normed)
    const middle = input.map((row, i) =>
      plus(row, gemma ? this.#norm(at('post_attention_layernorm'), attended[i]!) : attended[i]!),
    )
    return middle.map((row) => {
      const before = this.#norm(at(gemma ? 'pre_feedforward_layernorm' : 'post_attention_layernorm'), row)
      const gate = this.#linear(at('mlp.gate_proj'), before).map(gemma ? gelu : silu)
      const up = this.#linear(at('mlp.up_proj'), before)
      const down = this.#linear(
        at('mlp.down_proj'),
        gate.map((x, i) => x * up[i]!),
      )
      return plus(row, gemma ? this.#norm(at('post_feedforward_layernorm'), down) : down)
    })
  }

  #attention(layer: number, input: readonly Float64Array[]): Float64Array[] {
    const at = (name: string): string => `model.layers.${layer}.self_attn.${name}`
    const heads = this.#number('num_attention_heads')
    const groups = heads / this.#number('num_key_value_heads')
    const headDim = this.#headDim
    const turned = (projection: string, norm: string): Float64Array[][] =>
      input.map((row, position) =>
        split(this.#linear(at(projection), row), headDim)
          .map((head) => (this.#model.tensors.has(`${at(norm)}.weight`) ? this.#norm(at(norm), head) : head))
          .map((head) => this.#rotate(head, position, layer)),
      )
    const queries = turned('q_proj', 'q_norm')
    const keys = turned('k_proj', 'k_norm')
    const values = input.map((row) => split(this.#linear(at('v_proj'), row), headDim))
    const window = this.#window(layer)
    const scale = Number(this.#config['query_pre_attn_scalar'] ?? headDim) ** -0.5
    const cap = this.#config['attn_logit_softcapping']
    return input.map((_, position) => {
      const output = new Float64Array(heads * headDim)
      for (let head = 0; head < heads; head++) {
        const kv = Math.trunc(head / groups)
        const scores = keys.map((key, seen) => {
          if (seen > position || seen <= position - window) return -Infinity
          const score = inner(queries[position]![head]!, key[kv]!) * scale
          return typeof cap === 'number' ? Math.tanh(score / cap) * cap : score
        })
        const largest = Math.max(...scores)
        const powers = scores.map((score) => Math.exp(score - largest))
        const total = powers.reduce((a, b) => a + b, 0)
        powers.forEach((power, seen) => {
          values[seen]![kv]!.forEach((x, i) => (output[head * headDim + i]! += (power / total) * x))
        })
      }
      return this.#linear(at('o_proj'), output)
    })
  }

  /** x·cos + rotate_half(x)·sin */
  #rotate(head: Float64Array, position: number, layer: number): Float64Array {
    const { inverse, factor } = this.#frequencies(layer)
    const half = head.length / 2
    return head.map((x, i) => {
      const angle = position * inverse[i % half]!
      const other = i < half ? -head[i + half]! : head[i - half]!
      return x * Math.cos(angle) * factor + other * Math.sin(angle) * factor
    })
  }

  /** `inv_freq` and `attention_scaling` of modeling_rope_utils. */
  #frequencies(layer: number): { inverse: number[]; factor: number } {
    const dim = this.#headDim
    const local = this.#type === 'gemma3_text' && this.#window(layer) !== Infinity
    const base = Number(this.#config[local ? 'rope_local_base_freq' : 'rope_theta'] ?? 10000)
    const inverse = Array.from({ length: dim / 2 }, (_, i) => 1 / base ** ((2 * i) / dim))
    const scaling = this.#config['rope_scaling'] as Numbers | undefined
    const factor = Number(scaling?.['factor'] ?? 1)
    const original = Number(scaling?.['original_max_position_embeddings'])
    if (local || scaling === undefined) return { inverse, factor: 1 }
    switch (scaling['rope_type'] ?? scaling['type']) {
      case 'linear':
        return { inverse: inverse.map((x) => x / factor), factor: 1 }
      case 'llama3': {
        const low = original / Number(scaling['low_freq_factor'])
        const high = original / Number(scaling['high_freq_factor'])
        const smoothed = inverse.map((x) => {
          const wavelength = (2 * Math.PI) / x
          if (wavelength > low) return x / factor
          if (wavelength < high) return x
          const smooth =
            (original / wavelength - Number(scaling['low_freq_factor'])) /
            (Number(scaling['high_freq_factor']) - Number(scaling['low_freq_factor']))
          return ((1 - smooth) * x) / factor + smooth * x
        })
        return { inverse: smoothed, factor: 1 }
      }
      case 'yarn': {
        const correction = (rotations: number): number =>
          (dim * Math.log(original / (rotations * 2 * Math.PI))) / (2 * Math.log(base))
        const low = Math.max(Math.floor(correction(32)), 0)
        const high = Math.min(Math.ceil(correction(1)), dim - 1)
        const blended = inverse.map((x, i) => {
          const ramp = Math.min(1, Math.max(0, (i - low) / (high - low || 0.001)))
          const extrapolation = 1 - ramp
          return (x / factor) * (1 - extrapolation) + x * extrapolation
        })
        return { inverse: blended, factor: 0.1 * Math.log(factor) + 1 }
      }
      default:
        throw new Error('no such scaling here')
    }
  }

  #window(layer: number): number {
    const window = Number(this.#config['sliding_window'] ?? Infinity)
    if (this.#type === 'mistral') return window
    if (this.#type === 'gemma2') return layer % 2 === 0 ? window : Infinity
    if (this.#type === 'gemma3_text')
      return (layer + 1) % this.#number('sliding_window_pattern') === 0 ? Infinity : window
    return Infinity
  }

  #norm(name: string, row: Float64Array): Float64Array {
    const weight = this.#weight(`${name}.weight`)
    const variance = inner(row, row) / row.length
    const added = this.#type.startsWith('gemma') ? 1 : 0
    // What is stored is float32, and so is 1 + it: the factor that a runner is given.
    return row.map(
      (x, i) => (x / Math.sqrt(variance + this.#number('rms_norm_eps'))) * Math.fround(added + weight[i]!),
    )
  }

  #linear(name: string, row: Float64Array): Float64Array {
    const weight = this.#weight(`${name}.weight`)
    const bias = this.#model.tensors.get(`${name}.bias`)?.data
    return Float64Array.from({ length: weight.length / row.length }, (_, output) => {
      let total = bias?.[output] ?? 0
      for (let i = 0; i < row.length; i++) total += weight[output * row.length + i]! * row[i]!
      return total
    })
  }

  #weight(name: string): Float32Array {
    const tensor = this.#model.tensors.get(name)
    if (tensor === undefined) throw new Error(`there is no ${name}`)
    return tensor.data
  }

  #number(key: string): number {
    return Number(this.#config[key])
  }

  get #type(): string {
    return String(this.#config['model_type'])
  }

  get #headDim(): number {
    return Number(
      this.#config['head_dim'] ?? this.#number('hidden_size') / this.#number('num_attention_heads'),
    )
  }
}

function split(row: Float64Array, size: number): Float64Array[] {
  return Array.from({ length: row.length / size }, (_, head) => row.slice(head * size, (head + 1) * size))
}

function inner(a: Float64Array, b: Float64Array): number {
  return a.reduce((total, x, i) => total + x * b[i]!, 0)
}

function plus(a: Float64Array, b: Float64Array): Float64Array {
  return a.map((x, i) => x + b[i]!)
}

function silu(x: number): number {
  return x / (1 + Math.exp(-x))
}

function gelu(x: number): number {
  return 0.5 * x * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)))
}

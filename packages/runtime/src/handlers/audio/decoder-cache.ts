import type { TensorValue, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { OnnxGraph } from '../../onnx/onnx-graph.ts'
import { floats } from '../tensors.ts'

/**
 * What a decoder remembers between two passes: `past_key_values.{layer}.decoder|encoder.key|value`, from its own `present.…`. Those over the encoder's
 * output are made by the first pass and stay; a graph that merges both passes gives back nothing useful for them later.
 */
export class DecoderCache {
  readonly #kv = new Map<string, TensorValue>()

  /** Before the first pass: caches of length 0, where the graph wants any. Throws `bad_model` for sizes that it does not say. */
  static empty(graph: OnnxGraph): DecoderCache {
    const cache = new DecoderCache()
    for (const { name, shape } of graph.inputs.filter(({ name }) => name.startsWith(PAST))) {
      const [, heads, , size] = shape ?? []
      if (typeof heads !== 'number' || typeof size !== 'number')
        throw new EngineError('bad_model', `The decoder does not say the sizes of ${name}.`)
      cache.#kv.set(name, floats([1, heads, 0, size], new Float32Array()))
    }
    return cache
  }

  get feeds(): Tensors {
    return Object.fromEntries(this.#kv)
  }

  /** @param isFirst the pass also read the encoder's output. */
  keep(outputs: Tensors, isFirst: boolean): void {
    for (const [name, tensor] of Object.entries(outputs)) {
      const isOfEncoder = name.includes('.encoder.')
      if (name.startsWith(PRESENT) && (isFirst || !isOfEncoder))
        this.#kv.set(name.replace(PRESENT, PAST), tensor)
    }
  }
}

const PAST = 'past_key_values.'
const PRESENT = 'present.'

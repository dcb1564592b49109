import { add, attention, gelu, linear, norm, row } from './reference-encoder.ts'
import type { SpeechSpec } from './speech-spec.ts'

type Vector = readonly number[]

/** The logits behind a prompt, in float64, everything computed anew: no cache. */
export function referenceSpeech(spec: SpeechSpec, samples: Float32Array, prompt: readonly number[]): Vector {
  const { heads, hiddenSize, frameSize } = spec
  let heard: Vector[] = Array.from({ length: samples.length / frameSize }, (_, at) =>
    linear([...samples.subarray(at * frameSize, (at + 1) * frameSize)], spec.frames),
  )
  for (const layer of spec.encoder) {
    const [queries, keys, values] = (['query', 'key', 'value'] as const).map((part) =>
      heard.map((vector) => linear(vector, layer[part])),
    )
    const mixed = attention(queries ?? [], keys ?? [], values ?? [], heads)
    heard = heard.map((vector, at) => {
      const attended = norm(add(vector, linear(mixed[at] ?? [], layer.output)), layer.attentionNorm)
      return norm(add(attended, linear(linear(attended, layer.up).map(gelu), layer.down)), layer.outputNorm)
    })
  }
  let hidden = prompt.map((token, at) =>
    add(row(spec.words, token, hiddenSize), row(spec.positions, at, hiddenSize)),
  )
  for (const layer of spec.decoder) {
    const [queries, keys, values] = (['query', 'key', 'value'] as const).map((part) =>
      hidden.map((vector) => linear(vector, layer[part])),
    )
    const mixed = attention(queries ?? [], keys ?? [], values ?? [], heads, (at) => at + 1)
    const attended = hidden.map((vector, at) =>
      norm(add(vector, linear(mixed[at] ?? [], layer.output)), layer.attentionNorm),
    )
    const { cross } = layer
    const crossed = attention(
      attended.map((vector) => linear(vector, cross.query)),
      heard.map((vector) => linear(vector, cross.key)),
      heard.map((vector) => linear(vector, cross.value)),
      heads,
    )
    hidden = attended.map((vector, at) => {
      const both = norm(add(vector, linear(crossed[at] ?? [], cross.output)), cross.norm)
      return norm(add(both, linear(linear(both, layer.up).map(gelu), layer.down)), layer.outputNorm)
    })
  }
  return linear(hidden.at(-1) ?? [], spec.logits)
}

/** The likeliest tokens one after the other, until one of `eos`. */
export function referenceAnswer(
  spec: SpeechSpec,
  samples: Float32Array,
  prompt: readonly number[],
  most: number,
  eos: number,
): number[] {
  const said: number[] = []
  while (said.length < most) {
    const logits = referenceSpeech(spec, samples, [...prompt, ...said])
    const token = logits.indexOf(Math.max(...logits))
    if (token === eos) break
    said.push(token)
  }
  return said
}

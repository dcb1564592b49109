import type { PipelineFunction } from 'tabserve/worker'
import { startWorker, transformersPipeline } from 'tabserve/worker'

const sentences: PipelineFunction = (text: string) => text.split('.').map((each) => each.trim())

const meanVector: PipelineFunction = (vectors: readonly { readonly embedding: Float32Array }[]) => {
  const [first] = vectors
  return first?.embedding.map(
    (_, at) => vectors.reduce((sum, { embedding }) => sum + (embedding[at] ?? 0), 0) / vectors.length,
  )
}

/** Stretches of a recording, in whole frames of 80 samples. */
const cut: PipelineFunction = ({
  audio,
  segments,
}: {
  readonly audio: Float32Array
  readonly segments: readonly { readonly start: number; readonly end?: number }[]
}) =>
  segments.map(({ start, end = audio.length }) =>
    audio.slice(start, start + 80 * Math.floor((end - start) / 80)),
  )

/** Asks a model of its own, over and over, until a text is short enough. */
const shorten: PipelineFunction = async (text: string, { run }) => {
  let words = text.split(' ')
  let rounds = 0
  while (words.length > 2) {
    await run('embedder', words.join(' '), { dimensions: 4 })
    words = words.slice(1)
    rounds++
  }
  return { words, rounds }
}

const fail: PipelineFunction = () => {
  throw new Error('it fell over')
}

startWorker({
  handlers: {
    features: transformersPipeline('feature-extraction'),
    sentiment: transformersPipeline('text-classification'),
  },
  functions: { sentences, meanVector, cut, shorten, fail },
})

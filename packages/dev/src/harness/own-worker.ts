import type { Handler, MultiPass, PipelineFunction } from 'tabserve/worker'
import { EngineError, startWorker, transformersPipeline } from 'tabserve/worker'

/** 28 · 28 grey values. */
export interface DigitInput {
  readonly pixels: Uint8Array
}

export interface Digit {
  readonly digit: number
}

/** Of one image the digit. */
export const digits: Handler<DigitInput, Digit> = {
  preprocess({ pixels }) {
    if (pixels?.length !== 784) throw new EngineError('bad_request', 'A digit has 28 · 28 pixels.')
    return { Input3: { datatype: 'FP32', shape: [1, 1, 28, 28], data: Float32Array.from(pixels) } }
  },
  postprocess({ Plus214_Output_0: scores }) {
    const data = scores?.data as Float32Array
    return { digit: data.indexOf(Math.max(...data)) }
  },
}

/** Several images of one request, by a pass each. */
export const eachDigit: MultiPass<readonly DigitInput[], readonly Digit[]> = {
  async run(images, context) {
    const found: Digit[] = []
    for (const image of images)
      found.push(
        await digits.postprocess(await context.run('main', await digits.preprocess(image, context)), context),
      )
    return found
  },
}

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
    digits: () => digits,
    eachDigit: () => eachDigit,
    features: transformersPipeline('feature-extraction'),
    sentiment: transformersPipeline('text-classification'),
  },
  functions: { sentences, meanVector, cut, shorten, fail },
  batchHooks: { atMostThree: (_, batch) => batch.length < 3 },
})

import type { Handler, MultiPass } from 'tabserve/worker'
import { EngineError, startWorker } from 'tabserve/worker'

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

startWorker({
  handlers: { digits: () => digits, eachDigit: () => eachDigit },
  batchHooks: { atMostThree: (_, batch) => batch.length < 3 },
})

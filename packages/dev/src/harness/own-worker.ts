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
const digits: Handler<DigitInput, Digit> = {
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
const eachDigit: MultiPass<readonly DigitInput[], readonly Digit[]> = {
  async run(images, context) {
    const found: Digit[] = []
    for (const image of images) {
      const outputs = await context.run('main', await digits.preprocess(image, context))
      found.push(await digits.postprocess(outputs, context))
    }
    return found
  },
}

export type DigitHandler = typeof digits

/** Buffers that left with results, and how many of them are empty here since. */
const left = { all: 0, moved: 0 }
const post = MessagePort.prototype.postMessage as (message: unknown, moved?: unknown) => void
MessagePort.prototype.postMessage = function (this: MessagePort, message: unknown, moved?: unknown) {
  post.call(this, message, moved)
  const { outputs = {} } = (message ?? {}) as { outputs?: Record<string, { data: Float32Array }> }
  for (const { data } of Object.values(outputs)) {
    left.all++
    if (data.byteLength === 0) left.moved++
  }
}

const spy: MultiPass<unknown, { all: number; moved: number }> = { run: async () => ({ ...left }) }

startWorker({
  handlers: { digits: () => digits, eachDigit: () => eachDigit, spy: () => spy },
  batchHooks: { atMostThree: (_, batch) => batch.length < 3 },
})

import { GpuFailure } from './error-scopes.ts'
import type { GpuAnswer, GpuCall, GpuLoad, GpuStep } from './gpu-messages.ts'
import type { GpuDecoder } from './gpu-decoder.ts'

/** Name of the workers that hold a GPU model. They run the same file as the worker that serves. */
export const GPU_WORKER_NAME = 'tabserve-gpu'

/** How long after a failure a device may take to say that it is lost. */
const LOSS_MS = 250

/** Whether this worker was started to hold a GPU model: its entry file then does `serveAsGpuWorker()` and nothing else. */
export function isGpuWorker(): boolean {
  return self.name === GPU_WORKER_NAME
}

/**
 * Holds one model on the GPU and computes what it is sent. In a worker of its own, because after some failures onnxruntime never returns, and because
 * nothing but a worker's end gives all of its memory back.
 */
export function serveAsGpuWorker(): void {
  // One call after another, also while one is awaited.
  let tail: Promise<void> = Promise.resolve()
  const model = new GpuModel(say)
  globalThis.onmessage = ({ data }: MessageEvent<GpuCall>) => {
    tail = tail.then(() => model.answer(data))
  }
}

/** The model of this worker, once it is loaded. */
class GpuModel {
  readonly #say: (answer: GpuAnswer) => void
  #decoder: GpuDecoder | undefined
  /** Why nothing that it holds can be trusted any more. */
  #broken: string | undefined

  constructor(say: (answer: GpuAnswer) => void) {
    this.#say = say
  }

  /** Cannot reject: a failure is an answer. What follows a failed step is told that the model is lost: rows may lie anywhere. */
  async answer(call: GpuCall): Promise<void> {
    if (this.#broken !== undefined) return this.#say({ type: 'lost', reason: this.#broken })
    try {
      if (call.type === 'load') await this.#load(call.load)
      else if (call.type === 'run') await this.#run(call.step)
      else if (call.type === 'copy') await this.#loaded.copy(call.copies)
      else if (call.type === 'read-kv')
        this.#say({ type: 'kv', bytes: await this.#loaded.readKv(call.row, call.numTokens) })
      else {
        await this.#loaded.writeKv(call.row, call.numTokens, call.bytes)
        this.#say({ type: 'kv-written' })
      }
    } catch (error) {
      const message = messageOf(error)
      // A lost device fails what was under way in a dozen ways; it says itself that it is lost, and that is what counts.
      if (await this.#isLost()) return
      if (call.type !== 'load') this.#broken = `it failed before (${message})`
      const isOutOfMemory = error instanceof GpuFailure && error.isOutOfMemory
      // Nobody waits for a copy: what comes next hears of it.
      if (call.type !== 'copy') this.#say({ type: 'failed', message, isOutOfMemory })
    }
  }

  async #isLost(): Promise<boolean> {
    const device = this.#decoder?.device
    if (device === undefined) return false
    const later = new Promise<false>((resolve) => setTimeout(() => resolve(false), LOSS_MS))
    return (await Promise.race([device.lost, later])) !== false
  }

  async #load(load: GpuLoad): Promise<void> {
    // Only here: a worker that needs no GPU must not load onnxruntime.
    const [{ GpuOrt }, { GpuDecoder }] = await Promise.all([
      import('./gpu-ort.ts'),
      import('./gpu-decoder.ts'),
    ])
    const decoder = await GpuDecoder.create(new GpuOrt(load.ort), load)
    this.#decoder = decoder
    void decoder.device.lost.then(({ reason, message }) =>
      this.#say({ type: 'lost', reason: `${reason}: ${message}` }),
    )
    this.#say({ type: 'loaded', placement: decoder.placement })
  }

  async #run(step: GpuStep): Promise<void> {
    const outputs = await this.#loaded.run(step)
    this.#say({ type: 'ran', outputs, traffic: this.#loaded.traffic })
  }

  get #loaded(): GpuDecoder {
    if (this.#decoder === undefined) throw new Error('nothing is loaded')
    return this.#decoder
  }
}

function say(answer: GpuAnswer): void {
  postMessage(answer)
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

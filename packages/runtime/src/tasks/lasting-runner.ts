import type { ModelRunner, RunnerFacts } from '@tabserve/engine'
import type { DeviceChoice } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ChosenRunner } from '../backend/chosen-runner.ts'

/** So many losses in a row are answered with the GPU again; one more, and the model goes on on the CPU. */
const MOST_LOSSES = 3
/** Losses farther apart than this, from when the last one was made good, are not in a row. */
const ROW_MS = 60_000

export interface RunnerSource {
  /** Makes a runner on a device, from the store. @param isTight the last one on it had too little room: this one is to take less. */
  make(device: 'webgpu' | 'wasm', isTight: boolean): Promise<ChosenRunner>
  readonly now: () => number
}

/** A model's runner through the losses of its device: the GPU again, then the CPU, then nothing. */
export class LastingRunner {
  readonly #source: RunnerSource
  #chosen: ChosenRunner
  #choice: DeviceChoice
  #numLosses = 0
  #lastLossMs = -Infinity
  #isReplacing = false

  constructor(source: RunnerSource, chosen: ChosenRunner, choice: DeviceChoice) {
    this.#source = source
    this.#chosen = chosen
    this.#choice = choice
  }

  get runner(): ModelRunner {
    return this.#chosen.runner
  }

  /** A step on the GPU is awaited; or, between a loss and the next runner, that one. */
  get isAwaitingDevice(): boolean {
    return this.#isReplacing || this.#chosen.isAwaitingDevice?.() === true
  }

  get facts(): RunnerFacts {
    const { name, reason, maxKvBytes, kvType, heapBytes, placement, activations, runner } = this.#chosen
    return {
      runner: name,
      choice: this.#choice,
      kvBytes: maxKvBytes,
      kvType,
      maxRunning: runner.capabilities.maxRows,
      ...(reason === undefined ? {} : { runnerReason: reason }),
      ...(heapBytes === undefined ? {} : { heapBytes }),
      ...(placement === undefined ? {} : { placement }),
      ...(activations === undefined ? {} : { activations }),
    }
  }

  /** Throws `device_lost` where nothing can take the lost one's place. */
  async replace(loss: EngineError): Promise<ModelRunner> {
    const now = this.#source.now()
    this.#numLosses = now - this.#lastLossMs < ROW_MS ? this.#numLosses + 1 : 1
    this.#isReplacing = true
    try {
      await this.#chosen.runner.dispose()
      this.#chosen = await this.#again(loss)
    } finally {
      this.#isReplacing = false
      this.#lastLossMs = this.#source.now()
    }
    return this.#chosen.runner
  }

  async #again(loss: EngineError): Promise<ChosenRunner> {
    let problem = `it was lost ${this.#numLosses} times in a row`
    if (this.#numLosses <= MOST_LOSSES) {
      try {
        return await this.#source.make('webgpu', isOutOfMemory(loss))
      } catch (error) {
        problem = `it did not come back (${messageOf(error)})`
      }
    }
    try {
      const chosen = await this.#source.make('wasm', false)
      const reason = `the GPU is given up: ${problem}. ${loss.message}`
      this.#choice = { ...this.#choice, device: 'wasm', by: 'facts', reason }
      return chosen
    } catch (cause) {
      const message = `${loss.message} The GPU is given up: ${problem}; the CPU cannot take its place: ${messageOf(cause)} Load the model again.`
      throw new EngineError('device_lost', message, { cause })
    }
  }
}

function isOutOfMemory({ cause }: EngineError): boolean {
  return cause instanceof EngineError && cause.code === 'memory'
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

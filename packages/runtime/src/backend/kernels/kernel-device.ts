import { chooseKernels } from '@tabserve/kernels'
import type { DecoderGraph, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../../models/model-files.ts'
import type { ChosenRunner } from '../chosen-runner.ts'
import type { RunnerOptions } from '../runner-options.ts'
import { KernelRunner } from './kernel-runner.ts'

/** The kernels' module on this machine: the build that fits it, fetched and compiled once. */
export class KernelDevice {
  readonly #assets: WorkerConfig['assets']['kernels']
  readonly #threads: number
  #module: Promise<WebAssembly.Module> | undefined

  constructor(assets: WorkerConfig['assets']['kernels'], threads: number) {
    this.#assets = assets
    this.#threads = threads
  }

  /** For a decoder that `kernelsProblem` has nothing against. Throws `backend_failed` when the module cannot be had, `memory` when there is none. */
  async createRunner(
    graph: DecoderGraph,
    files: ModelFiles,
    options: RunnerOptions,
    onRead: () => void,
  ): Promise<ChosenRunner> {
    const { decoder } = graph
    if (decoder === undefined) throw new Error('a decoder without traits')
    const module = await this.#compile()
    const chunks = andThen(files.chunks(graph.externalData), onRead)
    try {
      const runner = await KernelRunner.create(module, this.#threads, graph, decoder, chunks, options)
      const { maxKvBytes, heapBytes } = runner
      return { runner, name: 'kernels', maxKvBytes, heapBytes, kvType: options.kvType ?? 'float32' }
    } catch (cause) {
      if (!(cause instanceof RangeError)) throw cause
      const advice = 'Close other tabs, lower contextLength or kvBudgetBytes, or take a smaller model.'
      throw new EngineError('memory', `There is not enough memory for the model. ${advice}`, { cause })
    }
  }

  /** Fetches the module for a load that may come when there is no network. Cannot reject: that load tries again. */
  async prepare(): Promise<void> {
    await this.#compile().catch(() => {})
  }

  #compile(): Promise<WebAssembly.Module> {
    this.#module ??= this.#fetch().catch((cause: unknown) => {
      this.#module = undefined // the next model may try again
      const advice = 'Check that the worker can fetch it from the `assets.kernels` addresses.'
      throw new EngineError('backend_failed', `The kernels' wasm did not load: ${String(cause)}. ${advice}`, {
        cause,
      })
    })
    return this.#module
  }

  async #fetch(): Promise<WebAssembly.Module> {
    const variant = chooseKernels(this.#threads)
    if (variant === undefined) throw new Error('no build fits this browser')
    const response = await fetch(this.#assets[variant])
    if (!response.ok) throw new Error(`${response.url} answered ${response.status}`)
    // Not `compileStreaming`: that needs a content type that static hosts often do not send, and 50 kB are there at once.
    return WebAssembly.compile(await response.arrayBuffer())
  }
}

/** The same, and then a call. */
async function* andThen<T>(items: AsyncIterable<T>, call: () => void): AsyncGenerator<T> {
  yield* items
  call()
}

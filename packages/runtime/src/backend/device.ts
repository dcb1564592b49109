import type { ModelRunner } from '@tabserve/engine'
import type { DecoderGraph, DeviceReport, KvBinding, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { DecoderFiles } from './decoder-io.ts'
import { HeapRunner } from './heap-runner.ts'
import type { OrtModule } from './ort-module.ts'
import { startOrt } from './ort-module.ts'
import { probeFailure } from './ort-probe.ts'
import type { PublicOrt } from './public-ort.ts'
import type { RunnerOptions } from './runner-options.ts'

export interface BoundRunner {
  readonly runner: ModelRunner
  readonly binding: KvBinding
  /** Why `auto` did not choose `heap`. */
  readonly bindingReason?: string
}

/** The machine as this worker sees it, and onnxruntime on it: each way in is started once, when a model first needs it. */
export class Device {
  readonly report: DeviceReport
  readonly #assets: WorkerConfig['assets']
  #heap: Promise<OrtModule> | undefined
  #public: Promise<PublicOrt> | undefined

  constructor({ assets, threads }: WorkerConfig) {
    const cores = navigator.hardwareConcurrency
    const wanted = threads ?? Math.min(4, Math.ceil(cores / 2))
    const { crossOriginIsolated } = globalThis
    // Shared memory, and so threads, exist in isolated pages only.
    this.report = { crossOriginIsolated, cores, threads: crossOriginIsolated ? wanted : 1 }
    this.#assets = assets
  }

  /** Makes a decoder's runner. Throws `bad_model` when onnxruntime refuses the graph, `backend_failed` when there is no onnxruntime. */
  async createRunner(
    graph: DecoderGraph,
    files: DecoderFiles,
    binding: KvBinding | 'auto',
    options: RunnerOptions,
  ): Promise<BoundRunner> {
    if (binding === 'public') return this.#throughPublic(graph, files, options)
    let module: OrtModule
    try {
      module = await this.#startHeap()
    } catch (error) {
      if (binding === 'heap') throw backendFailed(error)
      return { ...(await this.#throughPublic(graph, files, options)), bindingReason: messageOf(error) }
    }
    return {
      runner: await creating(graph, HeapRunner.create(module, graph, files, options)),
      binding: 'heap',
    }
  }

  async #throughPublic(
    graph: DecoderGraph,
    files: DecoderFiles,
    options: RunnerOptions,
  ): Promise<BoundRunner> {
    const ort = await this.#startPublic().catch((error: unknown) => Promise.reject(backendFailed(error)))
    const { PublicRunner } = await import('./public-runner.ts')
    return {
      runner: await creating(graph, PublicRunner.create(ort, graph, files, options)),
      binding: 'public',
    }
  }

  #startHeap(): Promise<OrtModule> {
    this.#heap ??= this.#start().catch((error: unknown) => {
      this.#heap = undefined // the next model may try again
      throw error
    })
    return this.#heap
  }

  async #start(): Promise<OrtModule> {
    const module = await startOrt(this.#assets, this.report.threads)
    const failure = await probeFailure(module)
    if (failure !== undefined)
      throw new Error(`onnxruntime-web's heap interface failed its self-test: ${failure}`)
    return module
  }

  #startPublic(): Promise<PublicOrt> {
    // Loaded only where it is needed: the heap path does without it.
    this.#public ??= import('./public-ort.ts').then(
      ({ PublicOrt }) => new PublicOrt(this.#assets, this.report.threads),
    )
    return this.#public
  }
}

async function creating(graph: DecoderGraph, runner: Promise<ModelRunner>): Promise<ModelRunner> {
  try {
    return await runner
  } catch (error) {
    if (error instanceof EngineError) throw error
    const message = `onnxruntime cannot run ${graph.file}: ${messageOf(error)}`
    throw new EngineError('bad_model', message, { file: graph.file, cause: error })
  }
}

function backendFailed(error: unknown): EngineError {
  const advice = "Check that the worker can fetch onnxruntime's .mjs and .wasm from the `assets` addresses."
  return new EngineError('backend_failed', `onnxruntime did not start: ${messageOf(error)}. ${advice}`, {
    cause: error,
  })
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

import type { ModelRunner } from '@tabserve/engine'
import type {
  CacheFacts,
  DecoderGraph,
  DeviceReport,
  KvType,
  OnnxDecoderGraph,
  RunnerName,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../models/model-files.ts'
import type { DecoderFiles } from './decoder-io.ts'
import { HeapRunner } from './heap-runner.ts'
import { kernelsProblem } from './kernels/kernel-coverage.ts'
import { KernelDevice } from './kernels/kernel-device.ts'
import { backendFailed, creating, messageOf } from './backend-failure.ts'
import type { OrtModule } from './ort-module.ts'
import { startOrt } from './ort-module.ts'
import { probeFailure } from './ort-probe.ts'
import type { PublicOrt } from './public-ort.ts'
import type { RunnerOptions } from './runner-options.ts'
import { maxRowBytes, rowRoomOf } from './runner-options.ts'

/** A decoder that runs, and what runs it. */
export interface ChosenRunner {
  readonly runner: ModelRunner
  readonly name: RunnerName
  /** Why `auto` did not choose the first of `kernels`, `heap`, `public`. */
  readonly reason?: string
  /** Bytes of the KV cache at its largest. */
  readonly maxKvBytes: number
  /** How it keeps KV. */
  readonly kvType: KvType
  /** What was found in a foreign graph. */
  readonly cache?: CacheFacts
  /** Bytes of the wasm memory that holds the model; only of kernels, which have one to themselves. */
  readonly heapBytes?: number
}

/** The machine as this worker sees it, and what runs models on it: each engine is started once, when a model first needs it. */
export class Device {
  readonly report: DeviceReport
  readonly #assets: WorkerConfig['assets']
  readonly #kernels: KernelDevice
  #heap: Promise<OrtModule> | undefined
  #public: Promise<PublicOrt> | undefined

  constructor({ assets, threads }: WorkerConfig) {
    const cores = navigator.hardwareConcurrency
    const wanted = threads ?? Math.min(4, Math.ceil(cores / 2))
    const { crossOriginIsolated } = globalThis
    // Shared memory, and so threads, exist in isolated pages only.
    this.report = { crossOriginIsolated, cores, threads: crossOriginIsolated ? wanted : 1 }
    this.#assets = assets
    this.#kernels = new KernelDevice(assets.kernels, this.report.threads)
  }

  /** Address of XGrammar. */
  get grammarScript(): string {
    return this.#assets.grammar
  }

  /**
   * Makes a decoder's runner: the kernels where they cover it, else onnxruntime. Throws `bad_model` when the graph is refused, `backend_failed`
   * when what should run it does not start.
   * @param onRead called once the weights are in memory.
   */
  async createRunner(
    graph: DecoderGraph | OnnxDecoderGraph,
    files: ModelFiles,
    wanted: RunnerName | 'auto',
    options: RunnerOptions,
    onRead: () => void = () => {},
  ): Promise<ChosenRunner> {
    if (graph.kind === 'decoder-onnx') {
      const { createForeign } = await import('./foreign/create-foreign.ts')
      const engines = { heap: () => this.#startHeap(), public: () => this.#startPublic() }
      return createForeign(engines, graph, files, wanted, options, onRead)
    }
    const problem = kernelsProblem(graph)
    if (wanted === 'kernels' || (wanted === 'auto' && problem === undefined)) {
      if (problem === undefined) return this.#kernels.createRunner(graph, files, options, onRead)
      throw new EngineError(
        'bad_request',
        `The kernels cannot run this model: ${problem}. Leave out \`runner\`.`,
      )
    }
    const decoder = {
      graph: await files.bytes(graph.file),
      externalData: await files.bytes(graph.externalData),
    }
    onRead()
    const chosen = await this.#throughOrt(graph, decoder, wanted, options)
    if (wanted !== 'auto') return chosen
    const reason = [`not kernels: ${problem}`, ...(chosen.reason === undefined ? [] : [chosen.reason])].join(
      '; ',
    )
    return { ...chosen, reason }
  }

  async #throughOrt(
    graph: DecoderGraph,
    files: DecoderFiles,
    wanted: RunnerName | 'auto',
    options: RunnerOptions,
  ): Promise<ChosenRunner> {
    if (wanted === 'public') return this.#throughPublic(graph, files, options)
    let module: OrtModule
    try {
      module = await this.#startHeap()
    } catch (error) {
      if (wanted === 'heap') throw backendFailed(error)
      return {
        ...(await this.#throughPublic(graph, files, options)),
        reason: `not heap: ${messageOf(error)}`,
      }
    }
    const room = rowRoomOf(graph, options)
    const runner = await creating(graph, HeapRunner.create(module, graph, files, room))
    return { runner, name: 'heap', maxKvBytes: maxRowBytes(graph, room), kvType: 'float32' }
  }

  async #throughPublic(
    graph: DecoderGraph,
    files: DecoderFiles,
    options: RunnerOptions,
  ): Promise<ChosenRunner> {
    const ort = await this.#startPublic().catch((error: unknown) => Promise.reject(backendFailed(error)))
    const { PublicRunner } = await import('./public-runner.ts')
    const room = rowRoomOf(graph, options)
    const runner = await creating(graph, PublicRunner.create(ort, graph, files, room))
    return { runner, name: 'public', maxKvBytes: maxRowBytes(graph, room), kvType: 'float32' }
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

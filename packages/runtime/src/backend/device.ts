import type {
  DecoderGraph,
  DeviceChoice,
  DeviceReport,
  MachineFacts,
  GenerateManifest,
  RunnerName,
  WorkerConfig,
} from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../models/model-files.ts'
import type { ChosenRunner } from './chosen-runner.ts'
import { idbChunkStore } from '../storage/idb-chunk-store.ts'
import type { DecoderFiles } from './decoder-io.ts'
import type { Wanted } from './device-choice.ts'
import { chooseByFacts } from './device-choice.ts'
import { HeapRunner } from './heap-runner.ts'
import type { ExternalFile, InferSession } from './infer-session.ts'
import { kernelsProblem } from './kernels/kernel-coverage.ts'
import { KernelDevice } from './kernels/kernel-device.ts'
import { backendFailed, creating, messageOf } from './backend-failure.ts'
import type { OrtModule } from './ort-module.ts'
import { startOrt } from './ort-module.ts'
import { probeFailure } from './ort-probe.ts'
import type { PublicOrt } from './public-ort.ts'
import type { RunnerOptions } from './runner-options.ts'
import { maxRowBytes, rowRoomOf } from './runner-options.ts'
import { problemOf, reportOf, tryOut } from './self-test.ts'
import type { Verdict } from './verdicts.ts'
import { Verdicts, verdictOf } from './verdicts.ts'
import { GpuDevice } from './webgpu/gpu-device.ts'
import type { GpuMode } from './webgpu/gpu-messages.ts'
import type { gpuFacts } from './webgpu/gpu-facts.ts'
import { placementProblem } from './webgpu/placement-problem.ts'

/** The machine as this worker sees it, and what runs models on it: each engine is started once, when a model first needs it. */
export class Device {
  readonly report: DeviceReport
  readonly #assets: WorkerConfig['assets']
  readonly #kernels: KernelDevice
  readonly #gpu: GpuDevice
  #verdicts: Verdicts | undefined
  #heap: Promise<OrtModule> | undefined
  #public: Promise<PublicOrt> | undefined

  /** @param facts for tests: what to take for the browser's word on its GPU. */
  constructor({ assets, threads }: WorkerConfig, facts?: typeof gpuFacts) {
    const cores = navigator.hardwareConcurrency
    const wanted = threads ?? Math.min(4, Math.ceil(cores / 2))
    const { crossOriginIsolated } = globalThis
    // Shared memory, and so threads, exist in isolated pages only.
    this.report = { crossOriginIsolated, cores, threads: crossOriginIsolated ? wanted : 1 }
    this.#assets = assets
    this.#kernels = new KernelDevice(assets.kernels, this.report.threads)
    this.#gpu = new GpuDevice(assets.webgpu, facts)
  }

  /**
   * Makes a decoder's runner on the device that suits it best, and says why. What the machine does not decide is measured, once a model and device:
   * the runner on the CPU gives the golden tokens, and one on the GPU that gives others is never used. Throws as `createRunner` does.
   * @param model tells apart models whose verdicts are kept.
   */
  async choose(
    graph: GenerateManifest['graph'],
    files: ModelFiles,
    wanted: Wanted,
    options: RunnerOptions,
    model: string,
    onRead: () => void,
  ): Promise<{ chosen: ChosenRunner; choice: DeviceChoice }> {
    const facts = await this.#facts(graph, wanted)
    // A GPU that cannot keep KV as it is wanted here may run the model well otherwise.
    const question = `${model} ${options.kvType ?? ''}`
    const known = chooseByFacts(graph, wanted, facts) ?? (await this.#kept(question, facts))
    if (known === undefined) return this.#measure(graph, files, options, question, facts, onRead)
    const runner = known.device === 'webgpu' ? 'webgpu' : wanted.runner
    return { chosen: await this.createRunner(graph, files, runner, options, onRead), choice: known }
  }

  async #facts(graph: GenerateManifest['graph'], { device, runner }: Wanted): Promise<MachineFacts> {
    const { cores, threads, crossOriginIsolated } = this.report
    // To ask for an adapter starts a process: not where nobody wants it.
    const isCpuAsked = device === 'wasm' || (runner !== 'auto' && runner !== 'webgpu')
    const isCpu = isCpuAsked || graph.kind === 'decoder-onnx'
    const gpu = isCpu ? { missing: 'nobody asked for it' } : await this.#gpu.facts()
    const { deviceMemory } = navigator as { deviceMemory?: number } // Chromium's own
    return { gpu, cores, threads, crossOriginIsolated, memoryGb: deviceMemory }
  }

  async #kept(model: string, facts: MachineFacts): Promise<DeviceChoice | undefined> {
    const verdict = await this.#memory().find(verdictKey(model, facts))
    return verdict === undefined ? undefined : { ...verdict, by: 'kept', facts }
  }

  async #measure(
    graph: GenerateManifest['graph'],
    files: ModelFiles,
    options: RunnerOptions,
    model: string,
    facts: MachineFacts,
    onRead: () => void,
  ): Promise<{ chosen: ChosenRunner; choice: DeviceChoice }> {
    const onCpu = await this.createRunner(graph, files, 'auto', options, onRead)
    const golden = await tryOut(onCpu.runner)
    const ofCpu = reportOf(onCpu, golden, undefined)
    let onGpu: ChosenRunner | undefined
    let verdict: Verdict
    try {
      onGpu = await this.createRunner(graph, files, 'webgpu', options)
      const trial = await tryOut(onGpu.runner, golden.answer)
      const problem = problemOf(trial, golden) ?? (onGpu.placement && placementProblem(onGpu.placement))
      verdict = verdictOf([ofCpu, reportOf(onGpu, trial, problem)])
    } catch (error) {
      const problem = `it did not run: ${messageOf(error)}`
      verdict = verdictOf([ofCpu, { runner: 'webgpu', selfTest: { passed: false, problem } }])
    }
    const chosen = verdict.device === 'webgpu' && onGpu !== undefined ? onGpu : onCpu
    for (const loser of [onCpu, onGpu]) if (loser !== chosen) await loser?.runner.dispose()
    await this.#memory().keep(verdictKey(model, facts), verdict)
    return { chosen, choice: { ...verdict, by: 'measured', facts } }
  }

  /** The CPU, where nothing else runs such a graph. @param isAsked the load said so. */
  cpuChoice(isAsked: boolean): DeviceChoice {
    const { cores, threads, crossOriginIsolated } = this.report
    const { deviceMemory } = navigator as { deviceMemory?: number } // Chromium's own
    const facts = {
      gpu: { missing: 'nobody asked for it' },
      cores,
      threads,
      crossOriginIsolated,
      memoryGb: deviceMemory,
    }
    return isAsked
      ? { device: 'wasm', reason: 'the load asked for it', by: 'asked', facts }
      : { device: 'wasm', reason: 'models that are asked once a request run on the CPU', by: 'facts', facts }
  }

  /** A session of any graph. Throws `bad_model` when it is refused, `backend_failed` when onnxruntime does not start. */
  async openSession(
    file: string,
    graph: Uint8Array,
    external: readonly ExternalFile[],
  ): Promise<InferSession> {
    const ort = await this.#startPublic().catch((error: unknown) => Promise.reject(backendFailed(error)))
    const { InferSession } = await import('./infer-session.ts')
    return creating({ file }, InferSession.create(ort, graph, external))
  }

  #memory(): Verdicts {
    this.#verdicts ??= new Verdicts(idbChunkStore('tabserve-verdicts'))
    return this.#verdicts
  }

  /** Address of transformers.js. */
  get transformersScript(): string {
    return this.#assets.transformers
  }

  /** Address of XGrammar. */
  get grammarScript(): string {
    return this.#assets.grammar
  }

  /**
   * Makes a decoder's runner: the kernels where they cover it, else onnxruntime. Throws `bad_model` when the graph is refused, `backend_failed`
   * when what should run it does not start.
   * @param onRead called once the weights are in memory.
   * @param mode how one on the GPU computes; for benchmarks.
   */
  async createRunner(
    graph: GenerateManifest['graph'],
    files: ModelFiles,
    wanted: RunnerName | 'auto',
    options: RunnerOptions,
    onRead: () => void = () => {},
    mode?: GpuMode,
  ): Promise<ChosenRunner> {
    if (graph.kind === 'decoder-onnx') {
      const { createForeign } = await import('./foreign/create-foreign.ts')
      const engines = { heap: () => this.#startHeap(), public: () => this.#startPublic() }
      return createForeign(engines, graph, files, wanted, options, onRead)
    }
    if (wanted === 'webgpu') {
      // The CPU may have to take over offline.
      if (kernelsProblem(graph) === undefined) void this.#kernels.prepare()
      return creating(graph, this.#gpu.createRunner(graph, files, options, onRead, mode))
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

/** Another browser, driver, or number of threads is another machine. */
function verdictKey(model: string, { gpu, threads }: MachineFacts): string {
  const adapter = 'missing' in gpu ? '' : [gpu.vendor, gpu.architecture, gpu.description].join(' ')
  return [model, adapter, `${threads} threads`, navigator.userAgent].join(' | ')
}

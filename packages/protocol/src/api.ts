import type { DeviceChoice, GpuPlacement } from './device-choice.ts'
import type { WireError } from './error.ts'
import type { HubSourceRequest } from './hugging-face.ts'
import type { Manifest } from './manifest.ts'
import type { ModelsApi, PickedFile, StorageWarning, StoreKind } from './models.ts'
import type { BatchingOptions, GraphFacts, ResponseCacheOptions, SequenceOptions } from './one-shot.ts'
import type { PipelineSpec } from './pipeline.ts'
import type { Request, TokenizeRequest } from './request.ts'
import type { SessionsApi } from './session.ts'
import type { SleepLevel } from './sleep.ts'
import type { SplitChoice } from './split-choice.ts'
import type { ModelStats } from './stats.ts'
import type { ObserveOptions } from './telemetry-event.ts'
import type { ToolParserName } from './tool.ts'

/** The control plane of one worker, called through Comlink. Answers are values: an error comes back as data, never thrown across. */
export interface EngineApi extends ModelsApi, SessionsApi {
  /** Says once where the worker finds its own assets. Must come first. */
  configure(config: WorkerConfig): Promise<Answer<DeviceReport>>
  /** `LoadProgress` comes on `port`; the page may say `LoadCommand` on it. */
  load(request: LoadRequest, port: MessagePort): Promise<Answer<ModelInfo>>
  unload(model: string): Promise<Answer<null>>
  list(): Promise<Answer<readonly ModelInfo[]>>
  describe(model: string): Promise<Answer<ModelInfo>>
  stats(model: string): Promise<Answer<ModelStats>>
  /** The prompt as the model would read it. */
  tokenize(request: TokenizeRequest): Promise<Answer<readonly number[]>>
  /** What each token alone adds to a text; half of a character is U+FFFD. */
  tokenTexts(model: string, tokens: readonly number[]): Promise<Answer<readonly string[]>>
  /** Forgets the KV that ended requests left behind; running ones keep theirs. */
  resetPrefixCache(model: string): Promise<Answer<null>>
  /** Deletes what the weight store keeps: of one model folder, or everything. Loaded models go on working. */
  clearCache(url?: string): Promise<Answer<null>>
  /** Gives a model's session, device memory and KV back, and keeps what waking is fast with. Running requests end with `engine_lost`. */
  sleep(model: string): Promise<Answer<null>>
  /** Makes a model that sleeps serve again, out of the store; harmless when it does not sleep. */
  wake(model: string): Promise<Answer<ModelInfo>>
  /**
   * Starts a request; everything it says comes on `port`. Resolves once its last word is said. `isCancelled`: it was cancelled before it was sent;
   * it is checked and ends without a step, which a cancel on the port, a way of its own, could come too late for. @param id names it for `cancel`.
   */
  submit(request: Request, port: MessagePort, id: string, isCancelled: boolean): Promise<void>
  /** Ends a request whose page cannot say so on its port; harmless when it has ended. */
  cancel(id: string): Promise<void>
  /** Ends a request without a last word: whoever asked asks again. Harmless when it has ended. */
  putOff(id: string): Promise<void>
  /** Tells from now on what happens, on `port`, until that is closed. @param worker what events call this worker. */
  observe(worker: string, port: MessagePort, options: ObserveOptions): Promise<Answer<null>>
  /** Answered between two steps: no answer, or one without progress, means that the worker is stuck. */
  pulse(): Promise<Pulse>
}

/** How a worker is. */
export interface Pulse {
  /** Whether any request runs or waits. */
  readonly busy: boolean
  /** Grows with everything that is computed. */
  readonly progress: number
}

/** A value or an error, as it crosses a worker. */
export type Answer<T> =
  { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: WireError }

/** What a worker must know before it can load anything. */
export interface WorkerConfig {
  /** Absolute URLs. */
  readonly assets: WorkerAssets
  /** Threads for the wasm backend. Default: half the cores, at most 4; always 1 where the page is not cross-origin isolated. */
  readonly threads?: number
  /** A Web Lock that the worker takes and holds while it lives: whoever is granted it next knows that the worker is gone. */
  readonly lifeLock: string
  readonly storage?: StorageConfig
}

/** What a worker keeps and fetches. */
export interface StorageConfig {
  /** Default `indexeddb`; where it does not work nothing is kept, and loads say so. */
  readonly kind?: StoreKind
  /** Most bytes of weights and saved sessions to keep. Default: as many as the browser lets us; 256 MiB in memory. */
  readonly budgetBytes?: number
  /**
   * Origins that models may come from, redirects included. Others are refused before any request. Browsers follow a redirect before they say where
   * it leads: its target hears of the request, but not a byte of its answer is read. Where only the page's own origin is allowed, and under a
   * `connect-src` policy of the page, the browser refuses before that too. Default: any.
   */
  readonly allowedOrigins?: readonly string[]
  /** Failures of a request in a row after which a download gives up. Progress in between starts the count anew. 0 to 100, default 4. */
  readonly retries?: number
  /** The first wait after a failure, in milliseconds; it doubles with every further one. Default 300. */
  readonly retryBaseMs?: number
  /** The longest wait, in milliseconds. A server that asks for a longer one fails the download, with `retryAfterMs` in the error. Default 60,000. */
  readonly retryMaxMs?: number
  /** A request that brings nothing for so many milliseconds is given up and tried again. Default 30,000. */
  readonly stallMs?: number
  /** Bytes in which files are downloaded and kept: a cut costs one such chunk at most. 65,536 to 2²⁸, default 2²⁴. */
  readonly chunkBytes?: number
}

/** Files that a worker fetches when it needs them. */
export interface WorkerAssets {
  /** onnxruntime-web's `ort-wasm-simd-threaded.mjs` and `.wasm`. */
  readonly mjs: string
  readonly wasm: string
  /**
   * onnxruntime-web with WebGPU: `ort-wasm-simd-threaded.jspi` and `.asyncify`, `.mjs` and `.wasm`. The first, smaller one is fetched where the browser can
   * suspend WebAssembly (JSPI), the other elsewhere; neither where no model runs on the GPU.
   */
  readonly webgpu: Readonly<Record<'jspi' | 'asyncify', { readonly mjs: string; readonly wasm: string }>>
  /** The builds of the kernels, `kernels-*.wasm`; one of them is fetched. */
  readonly kernels: Readonly<Record<'plain' | 'relaxed' | 'plain-threads' | 'relaxed-threads', string>>
  /** XGrammar, `lib/index.js` of `@mlc-ai/web-xgrammar`; fetched by the first request with `structuredOutputs`. */
  readonly grammar: string
  /** The converter of checkpoints, `tabserve.convert.js`; fetched by the first `models.convert`. */
  readonly converter: string
  /** transformers.js without its engine, `tabserve.transformers.js`; fetched by the first model whose task or pipeline needs it. */
  readonly transformers: string
}

export interface LoadRequest extends ServingOptions, OneShotOptions {
  /** Absolute URL of a model folder, the one that holds `manifest.json`; of picked files it only names them. */
  readonly url: string
  /** Files that the user picked, in place of a folder that is fetched. */
  readonly files?: readonly PickedFile[]
  /** A repository of the Hugging Face hub; `url` is its address. */
  readonly hub?: HubSourceRequest
  /** A pipeline and the models that its nodes name, by absolute addresses; `url` only names it. */
  readonly pipeline?: PipelineSpec
  /**
   * Where the model runs. `auto`: on the GPU where that was measured to be faster, and right, on this machine; `ModelInfo.choice` says why. Default
   * `auto`.
   */
  readonly device?: DeviceName | 'auto'
  /**
   * What runs the model. `webgpu`: onnxruntime-web on the GPU; on the CPU `kernels`: our own, for the decoders that they cover; `heap`:
   * onnxruntime-web, KV inside its wasm heap; `public`: onnxruntime-web through its public API; `auto`: the first that can, on the `device` that was
   * chosen. Default `auto`.
   */
  readonly runner?: RunnerName | 'auto'
  /**
   * Asks the network for the manifest even where a stored one is at hand; of a repository, whether its revision is another commit now. Default
   * false: a stored model loads without one request.
   */
  readonly refresh?: boolean
}

/** How a model that is asked once a request serves. What is not said the manifest says. */
export interface OneShotOptions {
  /** In place of the manifest's: the name of one of tabserve's handlers or of the worker file's own. */
  readonly handler?: string
  readonly batching?: BatchingOptions
  readonly sequence?: SequenceOptions
  /** Keeps answers. Default: none, but for requests with `cache: true`, which share 32 MiB of memory. */
  readonly responseCache?: ResponseCacheOptions
}

/** How a model serves many requests at once. */
export interface ServingOptions {
  /** Positions of one request, prompt and answer. Default: the model's context. */
  readonly contextLength?: number
  /** Answers computed at once. 1 turns batching off. Fewer where `kvBudgetBytes` holds fewer KV rows (onnxruntime); the kernels share it in blocks. 1 to 64, default 8. */
  readonly maxRunning?: number
  /** Answers that may wait; one more is refused with `queue_full`. Default 100. */
  readonly maxWaiting?: number
  /** Most bytes for the KV cache. Default 1 GiB. */
  readonly kvBudgetBytes?: number
  /** How keys and values are kept: half, or a quarter, of the bytes for a little precision. A GPU has no `int8`, `float16` where its adapter has `shader-f16`, and floats in all it computes with `float32`; onnxruntime on the CPU has `float32` only, a foreign graph its own. Default: `float32`; on a GPU with `shader-f16`, `float16` for q4 and fp16 weights. */
  readonly kvType?: KvType
  /** Largest number of prompt tokens in one forward pass, which nothing can interrupt. Default 64. */
  readonly maxTokensPerStep?: number
  /** Prompts are read in pieces so small that running answers wait at most about this long for their next token. Default 100. */
  readonly targetGapMs?: number
  /** Guesses the next tokens of an answer from what it has already said; onnxruntime of a lone one only. `auto`: while it pays. Default `auto`. */
  readonly speculation?: 'auto' | 'off'
  /** How the model writes calls of tools. Default: as the words of its chat template say. */
  readonly toolParser?: ToolParserName
}

/** What computes a model; see `LoadRequest.runner`. */
export type RunnerName = 'kernels' | 'heap' | 'public' | 'webgpu'

/** Where a model computes: the CPU, or the GPU. */
export type DeviceName = 'wasm' | 'webgpu'

/** How keys and values are kept; `int8` with one factor a head and position. */
export type KvType = 'float32' | 'float16' | 'int8'

/** A model that answers requests, and how it really runs. */
export interface ModelInfo {
  /** `name@version`. */
  readonly id: string
  readonly url: string
  readonly manifest: Manifest
  readonly runner: RunnerName
  /** Why `auto` did not choose a better one, or what it does not do right on this machine; of a foreign graph, what was found in it. */
  readonly runnerReason?: string
  /** How deep it sleeps; absent: it is awake. The rest is then as it was. */
  readonly sleepLevel?: SleepLevel
  /** The device, and why. It changes when the GPU is lost for good. */
  readonly choice: DeviceChoice
  /** Which nodes run on the GPU and which do not, where the model runs there. */
  readonly placement?: GpuPlacement
  /** In what it computes between its products: of a model on the GPU. Halves where the adapter has `shader-f16` and the weights are q4 or fp16. */
  readonly activations?: 'float16' | 'float32'
  readonly threads: number
  /** How the cores are shared out, where the load left that to us with `replicas: 'auto'`. */
  readonly split?: SplitChoice
  readonly contextLength: number
  readonly maxRunning: number
  /** Largest size of the KV cache; it begins small. */
  readonly kvBytes: number
  readonly kvType: KvType
  /** Bytes of wasm memory in use after loading, weights and working memory: of a model that the kernels run. */
  readonly heapBytes?: number
  readonly hasChatTemplate: boolean
  /** How it writes calls of tools. Absent: that is not known, and `toolChoice: 'auto'` is refused. */
  readonly toolParser?: ToolParserName
  /** Of a model that is asked once a request. Its `contextLength` and `kvBytes` are 0, `maxRunning` is the size of a batch. */
  readonly graph?: GraphFacts
  readonly load: LoadReport
}

/** What loading cost. Milliseconds and bytes. */
export interface LoadReport {
  readonly networkBytes: number
  /** That the store had; files that the runner does without are not even read. */
  readonly storedBytes: number
  /** Of files that the user picked. */
  readonly localBytes: number
  /** Time that somebody waited for bytes, part of it within `createMs`: weights stream into the runner. */
  readonly fetchMs: number
  /** Time in hashing what came; it goes on while bytes come and weights stream into the runner. */
  readonly hashMs: number
  readonly createMs: number
  readonly warmupMs: number
  /** Why the weights are not kept, when they are not. The model works all the same. */
  readonly notStored?: StorageWarning
}

/** Cores, threads and isolation, as a worker found them. */
export interface DeviceReport {
  readonly crossOriginIsolated: boolean
  readonly cores: number
  readonly threads: number
}

/**
 * Sent on the port of `load`, `prefetch` and `convert`. `fetch` (many times) and `verify` come for every file that is read; `create` and `warm-up` once,
 * and files may come in between.
 */
export type LoadProgress =
  | {
      readonly type: 'load-progress'
      readonly phase: 'fetch'
      readonly file: string
      /** `local`: files that the user picked. */
      readonly source: 'network' | 'store' | 'local'
      /** Of all files together. */
      readonly loadedBytes: number
      readonly totalBytes: number
      /** From this source, over the last seconds. */
      readonly bytesPerSecond: number
    }
  | { readonly type: 'load-progress'; readonly phase: 'verify'; readonly file: string }
  /** Another load, maybe in another tab, downloads this file; then it comes from the store. */
  | { readonly type: 'load-progress'; readonly phase: 'waiting'; readonly file: string }
  | { readonly type: 'load-progress'; readonly phase: 'create' | 'warm-up' }
  /** Where the model will run, and why. */
  | { readonly type: 'load-progress'; readonly phase: 'device'; readonly choice: DeviceChoice }
  /** A piece of a model that is being made: bytes of all its files together. */
  | {
      readonly type: 'load-progress'
      readonly phase: 'convert'
      readonly file: string
      readonly loadedBytes: number
      readonly totalBytes: number
    }
  /** A request failed and is tried again after a while. */
  | {
      readonly type: 'load-progress'
      readonly phase: 'retry'
      readonly file: string
      readonly reason: string
      readonly waitMs: number
    }
  /** The weights are not kept; the load goes on. */
  | { readonly type: 'load-progress'; readonly phase: 'not-stored'; readonly warning: StorageWarning }

/** What the page may say on the port of a load. */
export type LoadCommand = { readonly type: 'cancel' }

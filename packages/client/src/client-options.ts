import type { GenerateRequest, StorageConfig, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { HostLoadOptions } from './control/model-host.ts'
import type { HubOptions as EngineOptions } from './hub/hub.ts'
import type { HubOptions } from './hugging-face.ts'
import { HubRequests } from './hugging-face.ts'
import type { WhenTight } from './hub/with-room.ts'
import type { HiddenOptions } from './lifecycle/hidden-policy.ts'
import { checkedHidden } from './lifecycle/hidden-policy.ts'
import { checkedStorage } from './storage-options.ts'
import type { CheckedTelemetry, TelemetryHook, TelemetryOptions } from './telemetry/telemetry-options.ts'
import { checkedTelemetry } from './telemetry/telemetry-options.ts'
import { refuse } from './unknown-options.ts'

/** Longer than the slowest step of a model that fits the CPU. */
const HANG_TIMEOUT_MS = 20_000
/** Longer than the worker's script takes over a slow line. */
const START_TIMEOUT_MS = 30_000

/** How a client is made. `createClient` of `tabserve` fills in `worker`, `broker` and `assets`; everything else is optional. */
export interface ClientOptions {
  /** Makes a worker. Called at once, for every replica, and for a replica whose worker died. */
  readonly worker: () => Worker
  /** Addresses of the files that the worker fetches, relative to the page or absolute. */
  readonly assets: WorkerConfig['assets']
  /** Threads of each worker. Default: half the cores, at most 4, and no more than its share where a model has replicas; always 1 where the page is not cross-origin isolated. */
  readonly threads?: number
  /** Milliseconds without a sign of life, or without progress while there is work, after which a worker is replaced. Default 20 s, 2 min while it loads. */
  readonly hangTimeoutMs?: number
  /** Milliseconds that a worker's file may take to come and to call `startWorker`; then it is `engine_lost`. Default 30 s. */
  readonly startTimeoutMs?: number
  /**
   * One engine for all tabs of this origin that say so, with the same assets, threads and storage: the first tab's, and when it closes another's, where
   * running requests go on. Where the browser has no shared workers or no Web Locks the tab is alone: `client.role` says. Default false: loads, `scale` and
   * `clearCache` of one tab act on all of them, and a page in the background lends its time to the others.
   */
  readonly share?: boolean
  /** Makes the shared worker through which tabs find each other. */
  readonly broker?: (name: string) => SharedWorker
  /** What the worker keeps of models, and where they may come from. */
  readonly storage?: StorageConfig
  /**
   * Most bytes of all loaded models together, every replica and KV caches included, and with `share` those that other tabs have loaded; what goes beyond it is refused with `memory`, and a range of
   * replicas ends there. Default: any, and for the second
   * version of a rollout half of the device's memory, where the browser tells it.
   */
  readonly memoryBudgetBytes?: number
  /** Where repositories of the Hugging Face hub come from. */
  readonly hub?: HubOptions
  /**
   * What models do while nobody sees the page. `keep`: they stay ready. Else they sleep after a while, but for requests that still run, and wake when the
   * page is seen, or by a request. Not with `share`: other tabs may be in sight. Default `keep`.
   */
  readonly whenHidden?: 'keep' | HiddenOptions
  /**
   * What a load does where the machine has not enough memory. `fail`: it fails with `memory`. `sleep-idle`: models without a request are put to sleep,
   * level 2, and it is tried once more; the next request wakes them. Default `fail`.
   */
  readonly whenTight?: WhenTight
  /** Called with everything that happens, or how. Default: nobody listens, and nothing is told. */
  readonly telemetry?: TelemetryHook | TelemetryOptions
}

/** `signal` stops the download, which fails with `aborted`; what had arrived is kept for the next try. */
export type LoadOptions = HostLoadOptions

/** A generate request as the caller writes it. `model` may be an alias, too. */
export type GenerateOptions = Omit<GenerateRequest, 'task'> & {
  readonly signal?: AbortSignal
  /** An alias sends requests of one key to one version. Default: each is drawn anew. Never leaves the page. */
  readonly stickyKey?: string
}

/** A client's options, checked and apart: what its workers get, who brings tabs together, and what stays on the page. */
export interface CheckedOptions {
  readonly workers: EngineOptions
  /** Absent where the tab shares with no other. */
  readonly broker: ClientOptions['broker']
  readonly memoryBudgetBytes: number | undefined
  readonly hub: HubRequests
  /** `undefined`: they stay ready. */
  readonly whenHidden: HiddenOptions | undefined
  readonly whenTight: WhenTight
  readonly telemetry: CheckedTelemetry | undefined
}

/** Throws `bad_request`. */
export function checkedOptions(options: ClientOptions): CheckedOptions {
  const { worker, assets, threads, hangTimeoutMs, startTimeoutMs, ...others } = options
  const { storage, share = false, broker, ...onPage } = others
  const { memoryBudgetBytes, hub, whenHidden = 'keep', whenTight = 'fail', telemetry, ...unknown } = onPage
  refuse(unknown, 'createClient')
  if (threads !== undefined && !(Number.isInteger(threads) && threads >= 1 && threads <= 64))
    throw wrong('threads', threads, 'a whole number from 1 to 64')
  if (hangTimeoutMs !== undefined && !(typeof hangTimeoutMs === 'number' && hangTimeoutMs > 0))
    throw wrong('hangTimeoutMs', hangTimeoutMs, 'a number above 0')
  if (startTimeoutMs !== undefined && !(typeof startTimeoutMs === 'number' && startTimeoutMs > 0))
    throw wrong('startTimeoutMs', startTimeoutMs, 'a number above 0')
  if (whenTight !== 'fail' && whenTight !== 'sleep-idle')
    throw wrong('whenTight', whenTight, "'fail' or 'sleep-idle'")
  if (whenHidden !== 'keep' && share)
    throw new EngineError('bad_request', 'whenHidden would put other tabs to sleep: leave it out, or share.')
  if (memoryBudgetBytes !== undefined && !(memoryBudgetBytes >= 0))
    throw wrong('memoryBudgetBytes', memoryBudgetBytes, 'a number of bytes')
  return {
    workers: {
      worker,
      assets: absoluteAssets(assets),
      hangTimeoutMs: hangTimeoutMs ?? HANG_TIMEOUT_MS,
      startTimeoutMs: startTimeoutMs ?? START_TIMEOUT_MS,
      memoryBudgetBytes: memoryBudgetBytes ?? Infinity,
      ...(threads === undefined ? {} : { threads }),
      ...(storage === undefined ? {} : { storage: checkedStorage(storage) }),
    },
    broker: share ? broker : undefined,
    memoryBudgetBytes,
    hub: new HubRequests(hub),
    whenHidden: whenHidden === 'keep' ? undefined : checkedHidden(whenHidden),
    whenTight,
    telemetry: checkedTelemetry(telemetry),
  }
}

/** Every option of a load. The compiler checks that none is missing. */
export const LOAD_OPTIONS: Readonly<Record<keyof LoadOptions, true>> = {
  onProgress: true,
  signal: true,
  replicas: true,
  idleTimeoutMs: true,
  device: true,
  runner: true,
  kvType: true,
  refresh: true,
  contextLength: true,
  maxRunning: true,
  maxWaiting: true,
  kvBudgetBytes: true,
  maxTokensPerStep: true,
  targetGapMs: true,
  speculation: true,
  toolParser: true,
  handler: true,
  batching: true,
  sequence: true,
  responseCache: true,
}

function wrong(option: string, value: unknown, must: string): EngineError {
  return new EngineError('bad_request', `${option} ${String(value)} must be ${must}.`)
}

/** The worker has another base than the page. */
function absoluteAssets({
  mjs,
  wasm,
  webgpu,
  kernels,
  grammar,
  converter,
  transformers,
}: WorkerConfig['assets']): WorkerConfig['assets'] {
  const absolute = (address: string) => new URL(address, location.href).href
  return {
    mjs: absolute(mjs),
    wasm: absolute(wasm),
    webgpu: {
      jspi: { mjs: absolute(webgpu.jspi.mjs), wasm: absolute(webgpu.jspi.wasm) },
      asyncify: { mjs: absolute(webgpu.asyncify.mjs), wasm: absolute(webgpu.asyncify.wasm) },
    },
    grammar: absolute(grammar),
    converter: absolute(converter),
    transformers: absolute(transformers),
    kernels: {
      plain: absolute(kernels.plain),
      relaxed: absolute(kernels.relaxed),
      'plain-threads': absolute(kernels['plain-threads']),
      'relaxed-threads': absolute(kernels['relaxed-threads']),
    },
  }
}

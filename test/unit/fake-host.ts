import type { HostLoadOptions, HostSource, ModelHost } from '../../packages/client/src/control/model-host.ts'
import type {
  ErrorCode,
  GenerateRequest,
  HeldModel,
  ModelInfo,
  RequestEvent,
  SleepOptions,
} from '../../packages/protocol/src/index.ts'
import { EngineError } from '../../packages/protocol/src/index.ts'
import type { FakeClock } from './fake-clock.ts'

/** How a version behaves; it can be changed while requests run. */
export interface Behaviour {
  loadMs: number
  ttftMs: number
  interTokenMs: number
  numTokens: number
  fileBytes: number
  kvBytes: number
  loadError: ErrorCode | undefined
  /** What the next request fails with, if it does. */
  failure: () => ErrorCode | undefined
  /** Tokens before it does. */
  failAfter: number
}

const GOOD: Behaviour = {
  loadMs: 100,
  ttftMs: 20,
  interTokenMs: 5,
  numTokens: 4,
  fileBytes: 1000,
  kvBytes: 500,
  loadError: undefined,
  failure: () => undefined,
  failAfter: 0,
}

/** Models that answer by a clock. Like a worker it knows versions only, and what runs on a version that is unloaded fails with `engine_lost`. */
export class FakeHost implements ModelHost {
  /** The calls, in order. */
  readonly calls: string[] = []
  /** What it was asked, in order. */
  readonly requests: GenerateRequest[] = []
  readonly #clock: FakeClock
  readonly #behaviours = new Map<string, Behaviour>()
  readonly #loaded = new Map<string, Set<(event: RequestEvent) => void>>()
  readonly #replicas = new Map<string, HeldModel['scaling']['replicas']>()
  readonly #sleeping = new Map<string, SleepOptions | undefined>()

  constructor(clock: FakeClock) {
    this.#clock = clock
  }

  /** @param id `name@version`, whose folder is `https://models.test/name/version/`. */
  behave(id: string, change: Partial<Behaviour> = {}): Behaviour {
    const behaviour = this.#behaviours.get(id) ?? { ...GOOD }
    this.#behaviours.set(id, Object.assign(behaviour, change))
    return behaviour
  }

  get loaded(): string[] {
    return [...this.#loaded.keys()]
  }

  async load({ url }: HostSource, { signal, replicas }: HostLoadOptions): Promise<ModelInfo> {
    const id = idOf(url)
    this.calls.push(`load ${id}`)
    const { loadMs, loadError } = this.behave(id)
    await new Promise<void>((resolve) => {
      const forget = this.#clock.after(loadMs, resolve)
      signal?.addEventListener('abort', () => (forget(), resolve()))
    })
    if (signal?.aborted === true) throw new EngineError('aborted', 'The load was stopped.')
    if (loadError !== undefined) throw new EngineError(loadError, `${id} does not load.`)
    this.#loaded.set(id, this.#loaded.get(id) ?? new Set())
    this.#replicas.set(id, replicas === 'auto' ? 1 : replicas)
    return fakeInfo(id, this.behave(id), url)
  }

  unload(id: string): Promise<void> {
    this.calls.push(`unload ${id}`)
    const running = this.#loaded.get(id)
    if (running === undefined)
      return Promise.reject(new EngineError('model_not_loaded', `${id} is not loaded.`))
    this.#loaded.delete(id)
    for (const take of running) take(failed('engine_lost'))
    return Promise.resolve()
  }

  submit(request: GenerateRequest, take: (event: RequestEvent) => void): () => void {
    this.requests.push(request)
    if ('stickyKey' in request) throw new Error('a key that left the page')
    const running = this.#loaded.get(request.model)
    if (running === undefined) {
      this.#clock.after(0, () => take(failed('model_not_loaded')))
      return () => {}
    }
    const { ttftMs, interTokenMs, numTokens, failure, failAfter } = this.behave(request.model)
    const code = failure()
    let numSaid = 0
    let forget = () => {}
    const end = (event: RequestEvent) => {
      if (!running.delete(end)) return
      forget()
      take(event)
    }
    const step = () => {
      if (code !== undefined && numSaid >= failAfter) return end(failed(code))
      if (numSaid === numTokens) return end(finished('stop', numSaid))
      numSaid++
      take({ type: 'delta', choice: 0, text: `${request.model} `, tokens: [numSaid] })
      forget = this.#clock.after(interTokenMs, step)
    }
    running.add(end)
    forget = this.#clock.after(ttftMs, step)
    return () => end(finished('abort', numSaid))
  }

  /** As the hub does when a page scales a model. */
  scale(id: string, replicas: number): void {
    if (!this.#loaded.has(id)) throw new Error(`${id} was scaled before it was loaded`)
    this.#replicas.set(id, replicas)
  }

  /** As the hub does when a page puts a model to sleep, or, with `undefined`, wakes it. */
  putToSleep(id: string, sleep: SleepOptions | undefined): void {
    this.#sleeping.set(id, sleep)
  }

  held(): Promise<readonly HeldModel[]> {
    return Promise.resolve(
      this.loaded.map((id) => {
        const url = `https://models.test/${id.replace('@', '/')}/`
        const replicas = this.#replicas.get(id)
        const sleep = this.#sleeping.get(id)
        return {
          info: fakeInfo(id, this.behave(id), url),
          request: { url },
          scaling: replicas === undefined ? {} : { replicas },
          ...(sleep === undefined ? {} : { sleep }),
        }
      }),
    )
  }

  folderBytes({ url }: HostSource): Promise<number> {
    return Promise.resolve(this.behave(idOf(url)).fileBytes)
  }
}

/** What a model says of itself. @param id `name@version` */
export function fakeInfo(
  id: string,
  { fileBytes, kvBytes }: Pick<Behaviour, 'fileBytes' | 'kvBytes'>,
  url = `https://models.test/${id.replace('@', '/')}/`,
): ModelInfo {
  const [name = '', version = ''] = id.split('@')
  return {
    id,
    url,
    manifest: {
      format: 'tabserve-model',
      formatVersion: 1,
      name,
      version,
      task: 'generate',
      parameters: 1,
      graph: {
        kind: 'decoder-gqa',
        architecture: 'fake',
        file: 'model.onnx',
        externalData: 'model.onnx.data',
        weights: 'fp32',
        layers: 1,
        heads: 1,
        kvHeads: 1,
        headDim: 1,
        hiddenSize: 1,
        vocabSize: 1,
        contextLength: 1,
      },
      tokenizer: { file: 'tokenizer.json', config: 'config.json', eosTokenIds: [], addBos: false },
      files: [{ path: 'model.onnx', bytes: fileBytes, sha256: '' }],
    },
    runner: 'public',
    choice: {
      device: 'wasm',
      reason: 'asked',
      by: 'asked',
      facts: {
        gpu: { missing: 'nobody asked for it' },
        cores: 1,
        threads: 1,
        crossOriginIsolated: true,
        memoryGb: undefined,
      },
    },
    threads: 1,
    contextLength: 1,
    maxRunning: 1,
    kvBytes,
    kvType: 'float32',
    hasChatTemplate: false,
    load: { networkBytes: 0, storedBytes: 0, localBytes: 0, fetchMs: 0, hashMs: 0, createMs: 0, warmupMs: 0 },
  }
}

function idOf(url: string): string {
  const [, name, version] = /^https:\/\/models\.test\/(\w+)\/(\w+)\/$/.exec(url) ?? []
  if (name === undefined || version === undefined) throw new Error(`not a folder: ${url}`)
  return `${name}@${version}`
}

function failed(code: ErrorCode): RequestEvent {
  return { type: 'error', error: { code, message: `The request failed with ${code}.` } }
}

function finished(reason: 'stop' | 'abort', completionTokens: number): RequestEvent {
  return {
    type: 'finish',
    choices: [{ reason }],
    usage: { promptTokens: 1, cachedTokens: 0, completionTokens },
    timing: { queueMs: 0, firstTokenMs: 0, totalMs: 0 },
  }
}

import type { ModelInfo } from '@tabserve/protocol'
import type { Client } from '../../client.ts'
import { inTheirWords, notSupported } from './exceptions.ts'
import type { PromptMessage } from './prompts.ts'
import { messagesOf } from './prompts.ts'
import type { SessionClient } from './session.ts'
import { LanguageModelSession } from './session.ts'

/** Whether a session can be created, now or after a download. */
export type Availability = 'unavailable' | 'downloadable' | 'downloading' | 'available'

/** What `create` takes, in the Prompt API's words. `tools`, and types other than `text`, are refused. */
export interface CreateOptions {
  readonly initialPrompts?: readonly PromptMessage[]
  readonly temperature?: number
  readonly topK?: number
  /** Gets a target of `downloadprogress` events, whose `loaded` goes from 0 to 1. */
  readonly monitor?: (monitor: EventTarget) => void
  /** Stops the download, and later the session. */
  readonly signal?: AbortSignal
  readonly expectedInputs?: readonly { readonly type: string }[]
  readonly expectedOutputs?: readonly { readonly type: string }[]
  readonly tools?: readonly unknown[]
}

/** The part of a `Client` that is used. */
export type LanguageModelClient = SessionClient &
  Pick<Client, 'load' | 'list'> & { readonly models: Pick<Client['models'], 'status'> }

/** The browser's `LanguageModel`, over a model of ours: the same methods, events and exceptions. */
export class LanguageModel {
  readonly #client: LanguageModelClient
  readonly #url: string
  #numDownloads = 0

  /** @param url address of the model's folder. */
  constructor(client: LanguageModelClient, url: string) {
    this.#client = client
    this.#url = new URL(url, location.href).href
  }

  /** `unavailable` also for options that are refused: pictures, sound, tools. */
  async availability(options: Omit<CreateOptions, 'monitor' | 'signal'> = {}): Promise<Availability> {
    if (refusalOf(options) !== undefined) return 'unavailable'
    if (this.#numDownloads > 0) return 'downloading'
    try {
      if ((await this.#loaded()) !== undefined) return 'available'
      return (await this.#client.models.status(this.#url)).state === 'stored' ? 'available' : 'downloadable'
    } catch {
      return 'unavailable' // what is wrong is said by `create`
    }
  }

  /** Loads the model where it is not loaded. Throws `NotSupportedError`, `AbortError`, `NetworkError`, `EngineError`. */
  async create(options: CreateOptions = {}): Promise<LanguageModelSession> {
    const { initialPrompts = [], temperature, topK, monitor, signal } = options
    const refusal = refusalOf(options)
    if (refusal !== undefined) throw refusal
    signal?.throwIfAborted()
    messagesOf(initialPrompts) // refused before anything is fetched
    try {
      const info = (await this.#loaded()) ?? (await this.#load(monitor, signal))
      if (!info.hasChatTemplate) throw notSupported('A model without a chat template')
      const sampling = {
        ...(temperature === undefined ? {} : { temperature }),
        ...(topK === undefined ? {} : { topK }),
      }
      return await LanguageModelSession.start(this.#client, info.id, sampling, initialPrompts, signal)
    } catch (error) {
      throw inTheirWords(error, signal)
    }
  }

  async #loaded(): Promise<ModelInfo | undefined> {
    const folder = (url: string) => (url.endsWith('/') ? url : `${url}/`)
    return (await this.#client.list()).find(({ url }) => folder(url) === folder(this.#url))
  }

  async #load(monitor: CreateOptions['monitor'], signal: AbortSignal | undefined): Promise<ModelInfo> {
    const target = new EventTarget()
    monitor?.(target)
    const tell = (loaded: number) =>
      target.dispatchEvent(
        new ProgressEvent('downloadprogress', { loaded, total: 1, lengthComputable: true }),
      )
    this.#numDownloads++
    try {
      tell(0)
      const info = await this.#client.load(this.#url, {
        onProgress: (progress) => {
          if (progress.phase === 'fetch' && progress.loadedBytes < progress.totalBytes)
            tell(progress.loadedBytes / progress.totalBytes)
        },
        ...(signal === undefined ? {} : { signal }),
      })
      tell(1)
      return info
    } finally {
      this.#numDownloads--
    }
  }
}

function refusalOf({
  expectedInputs = [],
  expectedOutputs = [],
  tools = [],
}: CreateOptions): DOMException | undefined {
  if (tools.length > 0) return notSupported('Calling tools')
  const other = [...expectedInputs, ...expectedOutputs].find(({ type }) => type !== 'text')
  return other === undefined ? undefined : notSupported(`Content of type ${other.type}`)
}

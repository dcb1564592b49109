import type { Client, ConvertOptions, GenerateOptions, Generation, LoadOptions, ModelInfo } from 'tabserve'
import { EngineError } from 'tabserve'

/** The page's one client and the one model that it holds. The worker starts when it is first needed. */
export class Engine {
  readonly #createClient: () => Promise<Client>
  #client: Promise<Client> | undefined
  #held: { readonly client: Client; readonly model: ModelInfo } | undefined

  constructor(createClient: () => Promise<Client>) {
    this.#createClient = createClient
  }

  get model(): ModelInfo | undefined {
    return this.#held?.model
  }

  /** Replaces the model. The old one goes first, so that both need not fit into memory together. */
  async load(source: string | readonly File[], options: LoadOptions): Promise<ModelInfo> {
    await this.#unload()
    const client = await this.#start()
    const model = await client.load(source, options)
    this.#held = { client, model }
    return model
  }

  /** Makes a model of a checkpoint and keeps it; the old one goes first. Returns the address by which it loads. */
  async convert(files: readonly File[], options: ConvertOptions): Promise<string> {
    await this.#unload()
    const client = await this.#start()
    const { url } = await client.models.convert(files, options)
    return url
  }

  generate(options: Omit<GenerateOptions, 'model'>): Generation {
    if (this.#held === undefined) throw new EngineError('model_not_loaded', 'Load a model first.')
    const { client, model } = this.#held
    return client.generate({ model: model.id, ...options })
  }

  async clearCache(): Promise<void> {
    const client = await this.#start()
    await client.clearCache()
  }

  #start(): Promise<Client> {
    this.#client ??= this.#createClient().catch((error: unknown) => {
      this.#client = undefined // the next call tries again
      throw error
    })
    return this.#client
  }

  async #unload(): Promise<void> {
    if (this.#held === undefined) return
    const { client, model } = this.#held
    this.#held = undefined
    try {
      await client.unload(model.id)
    } catch (error) {
      if (!(error instanceof EngineError && error.code === 'engine_lost')) throw error // a dead worker holds nothing
    }
  }
}

import type { Client } from 'tabserve'
import { createClient } from 'tabserve'
import type { GenerateOptions, OnToken, Peer, PeerSettings, TokenIds } from './peer.ts'

/** This project's engine. The CPU, as for all: which of the others would take a GPU depends on the machine. */
class Tabserve implements Peer {
  readonly #settings: PeerSettings
  #client: Client | undefined
  #model = ''

  constructor(settings: PeerSettings) {
    this.#settings = settings
  }

  async load(): Promise<void> {
    const { threads } = this.#settings
    this.#client = await createClient({ threads })
    this.#model = (await this.#client.load(this.#address, { device: 'wasm' })).id
  }

  async generate(
    prompts: readonly TokenIds[],
    { maxTokens }: GenerateOptions,
    onToken: OnToken,
  ): Promise<void> {
    await Promise.all(
      prompts.map((promptTokens, index) => this.#answer(index, promptTokens, maxTokens, onToken)),
    )
  }

  async forget(): Promise<void> {
    await this.#opened.models.remove(this.#address)
  }

  close(): Promise<void> {
    this.#client?.dispose()
    return Promise.resolve()
  }

  get #address(): string {
    return `${this.#settings.models}tabserve/`
  }

  get #opened(): Client {
    if (this.#client === undefined) throw new Error('load first')
    return this.#client
  }

  async #answer(index: number, promptTokens: TokenIds, maxTokens: number, onToken: OnToken): Promise<void> {
    const request = { model: this.#model, promptTokens, maxTokens, temperature: 0 }
    for await (const { text, tokens } of this.#opened.generate(request))
      for (let token = 0; token < tokens.length; token++) onToken(index, token === 0 ? text : '')
  }
}

export const createTabserve = (settings: PeerSettings): Peer => new Tabserve(settings)

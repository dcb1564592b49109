import type { Client } from 'tabserve'
import { createClient } from 'tabserve'
import { assertRead } from './assert-read.ts'
import type { GenerateOptions, OnToken, Peer, PeerSettings, Prompt } from './peer.ts'

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
    prompts: readonly Prompt[],
    { maxTokens }: GenerateOptions,
    onToken: OnToken,
  ): Promise<void> {
    await Promise.all(prompts.map((prompt, index) => this.#answer(index, prompt, maxTokens, onToken)))
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

  async #answer(index: number, prompt: Prompt, maxTokens: number, onToken: OnToken): Promise<void> {
    const request = { model: this.#model, prompt: prompt.text, maxTokens, temperature: 0 }
    const answer = this.#opened.generate(request)
    for await (const { text, tokens } of answer)
      for (let token = 0; token < tokens.length; token++) onToken(index, token === 0 ? text : '')
    assertRead(prompt, (await answer).usage.promptTokens)
  }
}

export const createTabserve = (settings: PeerSettings): Peer => new Tabserve(settings)

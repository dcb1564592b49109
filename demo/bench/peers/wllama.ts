import { LoggerWithoutDebug, Wllama } from '@wllama/wllama'
import wasm from '@wllama/wllama/esm/wasm/wllama.wasm?url'
import { assertRead } from './assert-read.ts'
import type { GenerateOptions, OnToken, Peer, PeerSettings, Prompt } from './peer.ts'

/** As many as are asked at once: a request beyond its slots would wait for ever. */
const SLOTS = 8
/** Positions of all slots together. */
const CONTEXT_LENGTH = 4096

/** llama.cpp in wasm. */
class LlamaCpp implements Peer {
  readonly #settings: PeerSettings
  readonly #engine = new Wllama(
    { default: new URL(wasm, location.href).href },
    { logger: LoggerWithoutDebug, suppressNativeLog: true },
  )

  constructor(settings: PeerSettings) {
    this.#settings = settings
  }

  load(): Promise<void> {
    return this.#engine.loadModelFromUrl(this.#address, {
      n_threads: this.#settings.threads,
      n_gpu_layers: 0,
      n_ctx: CONTEXT_LENGTH,
      n_parallel: SLOTS,
      kv_unified: true,
    })
  }

  async generate(
    prompts: readonly Prompt[],
    { maxTokens }: GenerateOptions,
    onToken: OnToken,
  ): Promise<void> {
    await Promise.all(prompts.map((prompt, index) => this.#answer(index, prompt, maxTokens, onToken)))
  }

  forget(): Promise<void> {
    return this.#engine.cacheManager.delete(this.#address)
  }

  close(): Promise<void> {
    return this.#engine.exit()
  }

  get #address(): string {
    return `${this.#settings.models}model.gguf`
  }

  async #answer(index: number, prompt: Prompt, maxTokens: number, onToken: OnToken): Promise<void> {
    let numRead = 0
    await this.#engine.createCompletion({
      prompt: prompt.text,
      max_tokens: maxTokens,
      temperature: 0,
      stream: true,
      onData: ({ choices: [choice], usage }) => {
        if (usage) numRead = usage.prompt_tokens
        if (choice !== undefined && choice.text !== '') onToken(index, choice.text)
      },
    })
    assertRead(prompt, numRead)
  }
}

export const createWllama = (settings: PeerSettings): Peer => new LlamaCpp(settings)

import * as onnxruntime from 'onnxruntime-web/wasm'
import mjs from 'onnxruntime-web/ort-wasm-simd-threaded.mjs?url'
import wasm from 'onnxruntime-web/ort-wasm-simd-threaded.wasm?url'
import { assertRead } from './assert-read.ts'
import type { CreatePeer, GenerateOptions, OnToken, Peer, PeerSettings, Prompt } from './peer.ts'

type Library = typeof import('@xenova/transformers')
type Model = Awaited<ReturnType<Library['AutoModelForCausalLM']['from_pretrained']>>
type Tokenizer = Awaited<ReturnType<Library['AutoTokenizer']['from_pretrained']>>
type Tensor = InstanceType<Library['Tensor']>
type Cache = InstanceType<Library['DynamicCache']>

const CACHE = 'tabserve-bench-transformers'

/**
 * transformers.js as its guides use it, on the page's thread, with an onnxruntime of its own: the stable release's CPU build, which is smaller than the pre-release with WebGPU that the library names.
 * Requests that arrive together go through `generate` as one batch, which is the quickest that it has.
 */
class TransformersJs implements Peer {
  readonly #settings: PeerSettings
  readonly #dtype: 'q4' | 'int8'
  #loaded: { readonly library: Library; readonly model: Model; readonly tokenizer: Tokenizer } | undefined
  /** Of the last prompt, for one that goes on with it. */
  #cache: Cache | undefined

  constructor(settings: PeerSettings, dtype: 'q4' | 'int8') {
    this.#settings = settings
    this.#dtype = dtype
  }

  async load(): Promise<void> {
    onnxruntime.env.wasm.numThreads = this.#settings.threads
    onnxruntime.env.wasm.wasmPaths = {
      mjs: new URL(mjs, location.href).href,
      wasm: new URL(wasm, location.href).href,
    }
    // Where a page has an onnxruntime, the library takes that one.
    Object.defineProperty(globalThis, Symbol.for('onnxruntime'), { value: onnxruntime })
    const library = await import('@xenova/transformers')
    const { env, AutoModelForCausalLM, AutoTokenizer } = library
    env.allowLocalModels = true
    env.allowRemoteModels = false
    env.localModelPath = new URL(this.#settings.models).pathname // joined as a path, which an address would not survive
    env.cacheKey = CACHE
    const options = { device: 'auto', dtype: this.#dtype, use_external_data_format: true } as const
    const [tokenizer, model] = await Promise.all([
      AutoTokenizer.from_pretrained('transformers'),
      AutoModelForCausalLM.from_pretrained('transformers', options),
    ])
    this.#loaded = { library, model, tokenizer }
  }

  async generate(
    prompts: readonly Prompt[],
    { maxTokens, continues = false }: GenerateOptions,
    onToken: OnToken,
  ): Promise<void> {
    const { library, model, tokenizer } = this.#opened
    const say = (prompt: number, id: bigint): void => onToken(prompt, tokenizer.decode([Number(id)]))
    const past = continues ? this.#cache : undefined
    if (!continues) await this.#cache?.dispose()
    const read = tokenizer(prompts.map(({ text }) => text)) as { input_ids: Tensor; attention_mask: Tensor }
    for (const prompt of prompts) assertRead(prompt, read.input_ids.dims[1] ?? 0)
    const given = {
      inputs: read.input_ids,
      attention_mask: read.attention_mask,
      max_new_tokens: maxTokens,
      do_sample: false,
      return_dict_in_generate: true,
      streamer: streamerOf(library, say),
      ...(past === undefined ? {} : { past_key_values: past }),
    }
    const { past_key_values } = (await model.generate(given as never)) as unknown as {
      past_key_values: Cache
    }
    this.#cache = past_key_values
  }

  async forget(): Promise<void> {
    await caches.delete(CACHE)
  }

  async close(): Promise<void> {
    await this.#cache?.dispose()
    await this.#loaded?.model.dispose()
  }

  get #opened() {
    if (this.#loaded === undefined) throw new Error('load first')
    return this.#loaded
  }
}

/** Tells of each token; the library's own streamers wait for whole words, and for one prompt. */
function streamerOf({ BaseStreamer }: Library, say: (prompt: number, id: bigint) => void): object {
  return new (class extends BaseStreamer {
    #isPrompt = true
    override put(ids: bigint[][]): void {
      if (!this.#isPrompt) for (const [prompt, [id = 0n]] of ids.entries()) say(prompt, id)
      this.#isPrompt = false
    }
    override end(): void {}
  })()
}

export const createTransformers =
  (dtype: 'q4' | 'int8'): CreatePeer =>
  (settings) =>
    new TransformersJs(settings, dtype)

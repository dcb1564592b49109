import { EngineError } from '@tabserve/protocol'
import { bareManifest } from './bare-onnx.ts'
import type { Http } from './http.ts'
import { HttpSource } from './http-source.ts'
import { HubClient } from './hub/hub-client.ts'
import type { HubFile } from './hub/listing.ts'
import { provisionalId } from './hub/provisional-id.ts'
import { MANIFEST } from './manifest-text.ts'
import type { ChunkRequest, UnprovenSource } from './model-source.ts'
import type { RetryPolicy } from './retry.ts'
import { RETRY_POLICY } from './retry.ts'

/** One ONNX file at an address, without a folder of ours around it. Nobody says its hash: it is believed on first use and held to it from then on. */
export class OnnxFileSource implements UnprovenSource {
  readonly address: string
  readonly origin = 'network'
  readonly #url: URL
  readonly #http: Http
  readonly #policy: RetryPolicy
  #unproven = new Map<string, HubFile>()

  /** @param address of the file, with a slash at its end, as the store has it. */
  constructor(address: string, http: Http, policy: RetryPolicy = RETRY_POLICY) {
    this.address = address
    this.#url = new URL(address.replace(/\/$/, ''))
    this.#http = http
    this.#policy = policy
  }

  get unproven(): ReadonlyMap<string, HubFile> {
    return this.#unproven
  }

  async readText(path: string, signal: AbortSignal): Promise<string> {
    if (path !== MANIFEST) throw new Error(`a bare file was asked for ${path}`)
    const file = await this.lookAgain(this.#name, signal)
    if (file === undefined) {
      const message = `There is no ONNX file at ${this.#url.href}. Check the address.`
      throw new EngineError('model_not_found', message, { file: this.#name })
    }
    this.#unproven = new Map([[file.path, file]])
    const sha256 = await provisionalId(this.address, file)
    return JSON.stringify(bareManifest([{ path: file.path, bytes: file.bytes, sha256 }], false))
  }

  readChunks(request: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    return new HttpSource(new URL('./', this.#url).href, this.#http, this.#policy).readChunks(request)
  }

  async lookAgain(path: string, signal: AbortSignal): Promise<HubFile | undefined> {
    const found = await new HubClient(this.#http, this.#policy, undefined, signal).head(this.#url.href, path)
    return found === undefined ? undefined : { path, ...found }
  }

  get #name(): string {
    const { pathname } = this.#url
    return decodeURIComponent(pathname.slice(pathname.lastIndexOf('/') + 1))
  }
}

import type { HubSourceRequest, ModelSourceRequest } from '@tabserve/protocol'
import { checkedHub, hubAddress, isHubAddress, parseHubAddress } from '@tabserve/protocol'
import { isOnnxFile, withBareManifest } from './bare-onnx.ts'
import { BlobSource, folderOf, hasManifest, pickedAddress } from './blob-source.ts'
import type { Http } from './http.ts'
import { HttpSource } from './http-source.ts'
import { HubSource } from './hub/hub-source.ts'
import { MANIFEST, idOf, parseManifest } from './manifest-text.ts'
import type { ModelSource } from './model-source.ts'
import { OnnxFileSource } from './onnx-file-source.ts'
import type { RetryPolicy } from './retry.ts'

/** A model by its address: a folder, a repository of a hub, or what files were picked once. */
export type AddressedRequest = { readonly url: string } | HubSourceRequest

/** Under which the store keeps what is at an address. Throws `bad_request` for a repository's that is none. */
export function addressOf(request: AddressedRequest): string {
  if ('hub' in request) return hubAddress(checkedHub(request))
  if (isHubAddress(request.url)) return hubAddress(parseHubAddress(request.url))
  return request.url.endsWith('/') ? request.url : `${request.url}/`
}

/** Makes the source that a request names. */
export class ModelSources {
  readonly #http: Http
  readonly #retries: RetryPolicy | undefined

  constructor(http: Http, retries: RetryPolicy | undefined) {
    this.#http = http
    this.#retries = retries
  }

  /** @param stored the text of the manifest that the store has at the request's address. */
  async of(request: ModelSourceRequest, stored?: string): Promise<ModelSource> {
    if ('files' in request) {
      const files = hasManifest(request.files)
        ? folderOf(request.files)
        : ((await withBareManifest(request.files)) ?? folderOf(request.files))
      const picked = new BlobSource('picked files: ', files)
      const manifest = await picked.readText(MANIFEST, new AbortController().signal)
      return new BlobSource(pickedAddress(idOf(parseManifest(manifest, 'picked files: '))), files)
    }
    const hub = this.hub(request, stored)
    if (hub !== undefined) return hub
    const address = addressOf(request)
    // Stored, it needs no files; not stored, there is nobody to ask.
    if (address.startsWith('picked:')) return new BlobSource(address, [])
    if (isOnnxFile(address)) return new OnnxFileSource(address, this.#http, this.#retries)
    return new HttpSource(address, this.#http, this.#retries)
  }

  /** The repository that a request names, if it names one. */
  hub(request: AddressedRequest, stored?: string): HubSource | undefined {
    const isHub = 'hub' in request || isHubAddress(request.url)
    if (!isHub) return undefined
    const model = 'hub' in request ? checkedHub(request) : parseHubAddress(request.url)
    const token = 'hub' in request ? request.token : undefined
    return new HubSource(model, { http: this.#http, retries: this.#retries, token, stored })
  }
}

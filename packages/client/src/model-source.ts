import type { HubSourceRequest, ModelSourceRequest } from '@tabserve/protocol'
import { hubAddress } from '@tabserve/protocol'
import type { HostSource, PickedSource } from './control/model-host.ts'
import type { HubRequests } from './hugging-face.ts'
import { pickedFiles } from './picked-files.ts'

/**
 * What a model can be loaded from: the address of its folder, a repository of the Hugging Face hub (`{ hub: 'namespace/name' }`), or a folder as the user
 * picked or dropped it.
 */
export type ModelSource = string | HubSourceRequest | Iterable<Blob> | FileSystemDirectoryHandle

/** The source as the worker is asked for it. Throws `bad_request`. */
export async function sourceRequest(source: ModelSource, hub: HubRequests): Promise<ModelSourceRequest> {
  return typeof source === 'string' || 'hub' in source
    ? hub.requestOf(source)
    : { files: await pickedFiles(source) }
}

/** The part of a load's request that says what is loaded. */
export function loadedFrom(request: ModelSourceRequest): HostSource | PickedSource {
  if ('files' in request) return { url: '', ...request }
  return 'hub' in request ? { url: hubAddress(request), hub: request } : request
}

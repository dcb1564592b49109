import type { GenerateRequest, LoadProgress, LoadRequest, ModelInfo, RequestEvent } from '@tabserve/protocol'

export interface HostLoadOptions extends Omit<LoadRequest, 'url' | 'files'> {
  readonly onProgress?: (progress: LoadProgress) => void
  readonly signal?: AbortSignal
}

/** Where models really run: one worker, or the hub's. Knows versions only, no aliases. */
export interface ModelHost {
  /** Resolves once the model is warm. */
  load(url: string, options: HostLoadOptions): Promise<ModelInfo>
  /** @param id `name@version`; its running requests end with `engine_lost`. */
  unload(id: string): Promise<void>
  /** Sends a request whose `model` is a version. `take` hears all events, exactly one last word among them. Returns how to cancel. */
  submit(request: GenerateRequest, take: (event: RequestEvent) => void): () => void
  /** Bytes of all files of the model folder at `url`. */
  folderBytes(url: string): Promise<number>
}

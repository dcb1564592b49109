import type {
  HeldModel,
  Request,
  LoadProgress,
  LoadRequest,
  ModelInfo,
  PickedFile,
  RequestEvent,
  Scaling,
} from '@tabserve/protocol'

export interface HostLoadOptions extends Omit<LoadRequest, 'url' | 'files' | 'hub' | 'pipeline'>, Scaling {
  readonly onProgress?: (progress: LoadProgress) => void
  readonly signal?: AbortSignal
}

/** Where a model lies: the address of its folder, a repository and what the store calls it, or a pipeline and its name. */
export type HostSource = Pick<LoadRequest, 'url' | 'hub' | 'pipeline'>

/** Files that the user picked, and no address yet. */
export type PickedSource = Pick<LoadRequest, 'url'> & { readonly files: readonly PickedFile[] }

/** Where models really run: the hub's workers, in this tab or another. Knows versions only, no aliases. */
export interface ModelHost {
  /** Resolves once the model is warm. */
  load(source: HostSource, options: HostLoadOptions): Promise<ModelInfo>
  /** @param id `name@version`; its running requests end with `engine_lost`. */
  unload(id: string): Promise<void>
  /** Sends a request whose `model` is a version. `take` hears all events, exactly one last word among them. Returns how to cancel. */
  submit(request: Request, take: (event: RequestEvent) => void): () => void
  /** Everything that is loaded, by other tabs too. */
  held(): Promise<readonly HeldModel[]>
  /** Bytes of all files of the model. */
  folderBytes(source: HostSource): Promise<number>
}

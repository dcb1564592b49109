import type { ModelInfo } from '@tabserve/protocol'
import type { ServedClient } from '../served-client.ts'

/** A loaded model. Its id is `name@version`; requests may leave the version out where there is one only. */
export interface ModelObject {
  id: string
  object: 'model'
  /** 0: a model folder does not say when it was made. */
  created: number
  owned_by: string
}

/** The loaded models. */
export interface ModelList {
  object: 'list'
  data: ModelObject[]
}

/** OpenAI's `models`: those that are loaded. What the browser's storage keeps is in `client.models`. */
export class LoadedModels {
  readonly #client: Pick<ServedClient, 'list' | 'describe'>

  constructor(client: Pick<ServedClient, 'list' | 'describe'>) {
    this.#client = client
  }

  async list(): Promise<ModelList> {
    return { object: 'list', data: (await this.#client.list()).map(objectOf) }
  }

  /** Rejects with `model_not_loaded`. */
  async retrieve(model: string): Promise<ModelObject> {
    return objectOf(await this.#client.describe(model))
  }
}

function objectOf({ id }: ModelInfo): ModelObject {
  return { id, object: 'model', created: 0, owned_by: 'tabserve' }
}

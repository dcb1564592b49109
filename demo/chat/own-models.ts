/** A model that was made in this browser. */
export interface OwnModel {
  readonly id: string
  /** By which it loads. */
  readonly url: string
}

const KEY = 'tabserve-own-models'

/** What this browser has made, the last first; the weights themselves are in the weight store. */
export function ownModels(): readonly OwnModel[] {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? '[]') as OwnModel[] // nobody else writes there
  } catch {
    return [] // pages without storage remember nothing
  }
}

export function rememberOwn(model: OwnModel): void {
  write([model, ...ownModels().filter(({ url }) => url !== model.url)])
}

export function forgetOwn(url: string): void {
  write(ownModels().filter((model) => model.url !== url))
}

function write(models: readonly OwnModel[]): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(models))
  } catch {
    // As above: then the reader picks the file again.
  }
}

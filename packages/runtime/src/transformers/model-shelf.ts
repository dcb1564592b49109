/** Reads one file of a model; `undefined` where it has none of that path. */
export type ReadFile = (path: string) => Promise<Uint8Array<ArrayBuffer>> | undefined

/** The files of loaded models, as the cache that transformers.js looks into before it would ask the network. */
export class ModelShelf {
  readonly #models = new Map<string, ReadFile>()
  #numModels = 0

  /** Gives the name by which the library is to ask for this model. */
  add(read: ReadFile): string {
    const name = `tabserve-${++this.#numModels}`
    this.#models.set(name, read)
    return name
  }

  async match(address: string): Promise<Response | undefined> {
    for (const [name, read] of this.#models) {
      const at = address.indexOf(`${name}/`)
      if (at < 0) continue
      // Of an address of the hub a revision lies between.
      const path = address.slice(at + name.length + 1).replace(/^resolve\/[^/]+\//, '')
      const bytes = await read(path)
      if (bytes === undefined) return undefined
      return new Response(bytes, { headers: { 'content-length': String(bytes.length) } })
    }
    return undefined
  }

  /** What it has is kept by tabserve's own store. */
  put(): Promise<void> {
    return Promise.resolve()
  }
}

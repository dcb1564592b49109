/** One KV row: whose it is, and the tokens whose KV it holds. They stay after its owner has gone, for the next one to find. */
export interface Row<Owner> {
  /** Where it is in the runner's memory. Rows move. */
  readonly index: number
  readonly owner: Owner | undefined
  readonly tokens: readonly number[]
}

/** As its books see it. */
export class MutableRow<Owner> implements Row<Owner> {
  index: number
  owner: Owner | undefined
  salt = ''
  readonly tokens: number[] = []
  /** Hashes of the full blocks of `tokens`. */
  readonly blocks: number[] = []
  /** Sessions that want it kept for as long as there is another row to overwrite. */
  readonly sessions = new Set<string>()
  /** Whether others may find what it holds: not after `reset`, until the next owner. */
  findable = true
  lastUsed = 0

  constructor(index: number) {
    this.index = index
  }

  /** Whether a session wants it kept that is not this one. */
  isWantedBesides(session: string | undefined): boolean {
    return this.sessions.size > (session !== undefined && this.sessions.has(session) ? 1 : 0)
  }
}

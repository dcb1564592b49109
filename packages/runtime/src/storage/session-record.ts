import type { ChunkStore } from './chunk-store.ts'
import type { FileIdentity } from './stored-file.ts'

/** What the store knows of a saved session. */
export interface SessionRecord {
  readonly name: string
  /** `name@version`. */
  readonly model: string
  /** Of the model's files: see `fingerprintOf`. */
  readonly fingerprint: string
  readonly kvLayout: string
  readonly numTokens: number
  /** How many of the tokens, from the first on, have their KV in `kv`. */
  readonly numKvTokens: number
  /** A `SessionState` as JSON. */
  readonly state: FileIdentity
  /** `null`: it was given up. */
  readonly kv: FileIdentity | null
  readonly savedAt: number
  readonly usedAt: number
}

const PREFIX = 'session '

export const sessionKey = (name: string) => PREFIX + name

export function isSessionRecord(value: unknown): value is SessionRecord {
  const record = value as SessionRecord | undefined | null
  return (
    typeof record === 'object' &&
    typeof record?.name === 'string' &&
    typeof record.fingerprint === 'string' &&
    typeof record.usedAt === 'number' &&
    isIdentity(record.state) &&
    (record.kv === null || isIdentity(record.kv))
  )
}

/** Every session that is kept. */
export async function sessionRecords(store: ChunkStore): Promise<SessionRecord[]> {
  const keys = (await store.entryKeys()).filter((key) => key.startsWith(PREFIX))
  const found = await Promise.all(keys.map((key) => store.readEntry(key)))
  return found.filter(isSessionRecord)
}

/** The files that a session needs, as those of a model that is kept. */
export function heldBySession({ state, kv }: SessionRecord) {
  return { isEvicted: false, files: kv === null ? [state] : [state, kv] }
}

/** Gives up the KV of the session that was not used for longest. Its file goes with the next sweep. Says whether there was one. */
export async function giveUpKv(store: ChunkStore, spared?: string): Promise<boolean> {
  const [first] = (await sessionRecords(store))
    .filter(({ name, kv }) => name !== spared && kv !== null)
    .toSorted((left, right) => left.usedAt - right.usedAt)
  if (first === undefined) return false
  await store.write({ entries: [[sessionKey(first.name), { ...first, kv: null }]] })
  return true
}

function isIdentity(value: FileIdentity | null | undefined): boolean {
  return typeof value?.sha256 === 'string' && typeof value.bytes === 'number'
}

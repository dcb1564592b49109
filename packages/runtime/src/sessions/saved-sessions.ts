import type { TextKv } from '@tabserve/engine'
import type { Manifest, SavedSession, SessionState } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { idOf } from '../models/manifest-text.ts'
import { sha256Of } from '../models/sha256.ts'
import { isQuotaError } from '../storage/chunk-store.ts'
import type { SessionRecord } from '../storage/session-record.ts'
import type { SessionShelf } from '../storage/session-shelf.ts'

const NAME_LENGTH = 200

/** What a saved session is to continue on. */
export interface SessionHolder {
  readonly manifest: Manifest
  readonly kvLayout: string
}

export interface OpenedSession {
  readonly saved: SavedSession
  readonly state: SessionState
  readonly kv: TextKv | undefined
}

/** Sessions between visits. KV means something to the very model and layout only that computed it, so both are kept with it and compared. */
export class SavedSessions {
  readonly #shelf: SessionShelf

  constructor(shelf: SessionShelf) {
    this.#shelf = shelf
  }

  /** Throws `storage` where it cannot be kept, `bad_request` for a name that none can have. */
  async save(name: string, manifest: Manifest, state: SessionState, kv: TextKv): Promise<SavedSession> {
    if (typeof name !== 'string' || name === '' || name.length > NAME_LENGTH)
      throw new EngineError('bad_request', `A session's name is a text of 1 to ${NAME_LENGTH} characters.`)
    if (!this.#shelf.isLasting)
      throw new EngineError('storage', 'There is no lasting store here: sessions cannot be saved.')
    const facts = {
      name,
      model: idOf(manifest),
      fingerprint: await fingerprintOf(manifest),
      kvLayout: kv.layout,
      numTokens: state.tokens.length,
      numKvTokens: kv.tokens.length,
    }
    const record = await storing(() => this.#shelf.save(facts, jsonBytes(state), kv.bytes))
    if (record !== undefined) return describe(record)
    const message = `The session takes ${kv.bytes.byteLength} bytes, for which the storage budget has no room. Raise it, or remove models.`
    throw new EngineError('storage', message)
  }

  /**
   * Reads a session, every byte of it checked. What is damaged is forgotten: the KV, or where the rest is, all of it. Throws `session_not_found`,
   * `session_mismatch` or `integrity`; with `recompute` it gives the session without KV instead, as long as that is right.
   */
  async open(name: string, holder: SessionHolder, recompute: boolean): Promise<OpenedSession> {
    const record = await storing(() => this.#shelf.find(name))
    if (record === undefined)
      throw new EngineError('session_not_found', `There is no saved session ${JSON.stringify(name)}.`)
    const state = await storing(() => this.#readState(record))
    if (state === undefined) {
      await storing(() => this.#shelf.delete(name))
      throw new EngineError('integrity', `The saved session ${name} is damaged, and was forgotten.`)
    }
    const isSameModel = (await fingerprintOf(holder.manifest)) === record.fingerprint
    const kv = await this.#kvOf(record, state, holder, isSameModel)
    if (kv instanceof EngineError && !recompute) throw kv
    if (!(kv instanceof EngineError)) await storing(() => this.#shelf.touch(record))
    return {
      saved: describe(record),
      // Another model may have other tokens.
      state: isSameModel ? state : { ...state, tokens: [] },
      kv: kv instanceof EngineError ? undefined : kv,
    }
  }

  /** The last used first. */
  async list(): Promise<readonly SavedSession[]> {
    const records = await storing(() => this.#shelf.list())
    return records.map(describe).toSorted((left, right) => right.usedAt - left.usedAt)
  }

  async delete(name: string): Promise<void> {
    await storing(() => this.#shelf.delete(name))
  }

  async #readState(record: SessionRecord): Promise<SessionState | undefined> {
    const bytes = await this.#shelf.read(record.state)
    // Its hash has matched: it is what was written.
    return bytes === undefined ? undefined : (JSON.parse(new TextDecoder().decode(bytes)) as SessionState)
  }

  /** The KV, or why it cannot be used. */
  async #kvOf(
    record: SessionRecord,
    { tokens }: SessionState,
    { manifest, kvLayout }: SessionHolder,
    isSameModel: boolean,
  ): Promise<TextKv | EngineError> {
    const { name, kv, numKvTokens } = record
    const advice = 'Restore it with recompute: true to have its text read again.'
    const refuse = (code: 'session_mismatch' | 'session_not_found' | 'integrity', problem: string) =>
      new EngineError(code, `${problem} ${advice}`)
    if (!isSameModel)
      return refuse(
        'session_mismatch',
        `The session ${name} was saved with ${record.model}, not with ${idOf(manifest)} as it is loaded.`,
      )
    if (kvLayout !== record.kvLayout)
      return refuse(
        'session_mismatch',
        `The session ${name} has its KV as "${record.kvLayout}"; the model keeps it as "${kvLayout}" now.`,
      )
    if (kv === null)
      return refuse('session_not_found', `The KV of the session ${name} is gone, to make room or damaged.`)
    const bytes = await storing(() => this.#shelf.read(kv))
    if (bytes !== undefined) return { tokens: tokens.slice(0, numKvTokens), layout: kvLayout, bytes }
    await storing(() => this.#shelf.forgetKv(record))
    return refuse('integrity', `The KV of the session ${name} is damaged, and was forgotten.`)
  }
}

/** Differs wherever any file of two models does: the graph, the weights, the tokenizer. */
async function fingerprintOf(manifest: Manifest): Promise<string> {
  return sha256Of(jsonBytes([idOf(manifest), ...manifest.files.map(({ path, sha256 }) => [path, sha256])]))
}

function describe({ name, model, numTokens, state, kv, savedAt, usedAt }: SessionRecord): SavedSession {
  const bytes = state.bytes + (kv?.bytes ?? 0)
  return { name, model, numTokens, bytes, hasKv: kv !== null, savedAt, usedAt }
}

function jsonBytes(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value)) as Uint8Array<ArrayBuffer>
}

async function storing<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    const advice = isQuotaError(cause) ? ' Free disk space, or remove sessions and models.' : ''
    throw new EngineError('storage', `The weight store failed: ${String(cause)}.${advice}`, { cause })
  }
}

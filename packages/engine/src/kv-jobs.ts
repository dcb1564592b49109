import { EngineError } from '@tabserve/protocol'
import { commonLength } from './kv-rows.ts'
import type { KvBooks } from './kv-books.ts'
import type { ModelRunner } from './model-runner.ts'

/** The KV of a text's beginning, as a runner with this layout lays it out. */
export interface TextKv {
  readonly tokens: readonly number[]
  readonly layout: string
  readonly bytes: Uint8Array<ArrayBuffer>
}

export type SessionBooks = Pick<KvBooks, 'keptBy' | 'share' | 'letGo' | 'reserve'>

/** `undefined`: not now, for want of room. */
type Attempt<T> = (runner: ModelRunner, kv: SessionBooks) => Promise<{ readonly value: T } | undefined>

interface Job {
  /** Says whether it was done. */
  attempt(runner: ModelRunner, kv: SessionBooks): Promise<boolean>
  reject(error: unknown): void
}

/** Reading and writing of KV that must not happen while a step runs; what finds no room waits for the next time. */
export class KvJobs {
  #jobs: Job[] = []

  get size(): number {
    return this.#jobs.length
  }

  /** What a session keeps of the beginning of `tokens`; `undefined` where that is nothing. */
  read(session: string, tokens: readonly number[]): Promise<TextKv | undefined> {
    return this.#add(async (runner, kv) => {
      const kept = kv.keptBy(session)
      const length = kept === undefined ? 0 : commonLength(kept.tokens, tokens, tokens.length)
      if (kept === undefined || length === 0) return { value: undefined }
      const bytes = await runner.readKv(kept.place, length)
      return { value: { tokens: tokens.slice(0, length), layout: runner.kvLayout, bytes } }
    })
  }

  /** Has a session keep KV that was read elsewhere. Rejects where the runner does not take it. */
  write(session: string, salt: string, { tokens, layout, bytes }: TextKv): Promise<void> {
    return this.#add(async (runner, kv) => {
      // Another may have taken its place since somebody asked how this one lays KV out.
      if (layout !== runner.kvLayout)
        throw new EngineError(
          'session_mismatch',
          `The KV lies as "${layout}"; the model keeps it as "${runner.kvLayout}".`,
        )
      const room = kv.reserve(tokens, salt)
      if (room === undefined) return undefined
      try {
        await runner.writeKv(room.place, tokens.length, bytes)
      } catch (error) {
        room.drop()
        throw error
      }
      room.keep(session)
      return { value: undefined }
    })
  }

  /** Does what can be done now. @param isFatal an error that every job would meet: it is thrown, and the jobs stay. */
  async run(runner: ModelRunner, kv: SessionBooks, isFatal: (error: unknown) => boolean): Promise<void> {
    for (const job of [...this.#jobs]) {
      try {
        if (!(await job.attempt(runner, kv))) continue
      } catch (error) {
        if (isFatal(error)) throw error
        job.reject(error)
      }
      this.#jobs = this.#jobs.filter((other) => other !== job)
    }
  }

  failAll(error: unknown): void {
    for (const job of this.#jobs.splice(0)) job.reject(error)
  }

  #add<T>(attempt: Attempt<T>): Promise<T> {
    return new Promise<T>((resolve, reject) => {
      this.#jobs.push({
        attempt: async (runner, kv) => {
          const done = await attempt(runner, kv)
          if (done !== undefined) resolve(done.value)
          return done !== undefined
        },
        reject,
      })
    })
  }
}

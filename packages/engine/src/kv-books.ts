import type { KvBlockStats } from '@tabserve/protocol'
import type { KvCopy, KvPlace } from './model-runner.ts'
import type { Sequence } from './sequence.ts'

/** Where a sequence begins, and the copies that make it true. */
export interface Placed {
  /** Tokens whose KV is there. */
  readonly numCached: number
  readonly copies: readonly KvCopy[]
}

/** KV that nobody uses just now, and that a session keeps. */
export interface KeptKv {
  readonly place: KvPlace
  /** Whose KV is there. */
  readonly tokens: readonly number[]
}

/** Room for KV that comes from elsewhere. Nobody may be given a place until it is kept or dropped. */
export interface ReservedKv {
  readonly place: KvPlace
  /** The KV is there: a session keeps it, and others may find it. */
  keep(session: string): void
  drop(): void
}

/** Who has which KV, whatever it lies in: rows or blocks. Keeps books and says what to copy; does nothing itself. */
export interface KvBooks {
  /** Sequences more that could run, if their KV were no matter. */
  readonly numFree: number
  /** Share of all KV that running sequences use, 0 to 1. */
  readonly usage: number
  readonly blocks: KvBlockStats | undefined
  /** Whether a place can be had at once for all of these. */
  hasRoomFor(sequences: readonly Sequence[]): boolean
  /** Gives a sequence a place for its tokens, and what can be found of them. `undefined`, and nothing has changed, when there is none. */
  place(sequence: Sequence): Placed | undefined
  /** Books that the model has written the KV of these tokens, from `numComputed` on. */
  write(sequence: Sequence, tokens: readonly number[]): void
  /** Forgets what is behind `numComputed`. */
  truncate(sequence: Sequence): void
  /** The place is free at once; what it holds stays to be found. A sequence's session keeps it for as long as there is other KV to give up. */
  release(sequence: Sequence): void
  /** What a session keeps; `undefined` where that was given up. */
  keptBy(session: string): KeptKv | undefined
  /** One session keeps what another does, too. */
  share(from: string, to: string): void
  /** What a session kept is as any other from now on. */
  letGo(session: string): void
  /** Room for the KV of `tokens`, which is brought from elsewhere. `undefined`, and nothing has changed, when there is none just now. */
  reserve(tokens: readonly number[], salt: string): ReservedKv | undefined
  /** Forgets what nobody holds; what running sequences hold cannot be found any more. */
  reset(): void
  /** Throws where the books are wrong. For tests. @param running those who should have a place, and nobody else. */
  check(running: ReadonlySet<Sequence>): void
}

/** At least one token is always computed: its logits are wanted. All of them are where the logits of all are. */
export function cacheLimit({ tokens, scheduling, promptLogprobs }: Sequence): number {
  return scheduling.readPrefixCache && promptLogprobs === undefined ? tokens.length - 1 : 0
}

import type { KvBooks } from './kv-books.ts'
import type { KvCopy } from './model-runner.ts'
import type { Sequence } from './sequence.ts'
import { WaitingQueue, goesBefore } from './waiting-queue.ts'

/** Who waits and who runs. Invariant: those who run have a place in the KV books, and nobody else has. */
export class Roster {
  readonly waiting = new WaitingQueue()
  readonly #running = new Set<Sequence>()
  readonly #kv: KvBooks
  /** Called for everybody who is sent back to wait. */
  onPreempted: (sequence: Sequence) => void = () => {}
  #numPreemptions = 0

  constructor(kv: KvBooks) {
    this.#kv = kv
  }

  get running(): ReadonlySet<Sequence> {
    return this.#running
  }

  get numPreemptions(): number {
    return this.#numPreemptions
  }

  /** Lets one who waits run, if there is a place. `copies` gets what must be copied for it. */
  start(sequence: Sequence, copies: KvCopy[]): boolean {
    const placed = this.#kv.place(sequence)
    if (placed === undefined) return false
    this.waiting.remove(sequence)
    this.#running.add(sequence)
    sequence.numComputed = placed.numCached
    sequence.choices.cached(sequence.choice, placed.numCached)
    copies.push(...placed.copies)
    return true
  }

  /** Says whether the sequence was running. Its place is free at once. */
  stop(sequence: Sequence): boolean {
    if (!this.#running.delete(sequence)) return false
    this.#kv.release(sequence)
    sequence.numComputed = 0
    return true
  }

  /** Sends one who runs back to wait, at its old rank. It is computed again: its KV is not kept, only remembered. */
  preempt(sequence: Sequence): void {
    this.#numPreemptions++
    sequence.choices.preempted()
    this.onPreempted(sequence)
    this.stop(sequence)
    this.waiting.add(sequence)
  }

  /** Sends the last of those with a lower priority back to wait. Says whether there was one. */
  preemptFor({ priority }: Sequence): boolean {
    const victim = this.last((sequence) => sequence.priority > priority)
    if (victim === undefined) return false
    this.preempt(victim)
    return true
  }

  /** The one who runs and ranks last, of those whom `isMeant` says. */
  last(isMeant: (sequence: Sequence) => boolean = () => true): Sequence | undefined {
    let last: Sequence | undefined
    for (const sequence of this.#running)
      if (isMeant(sequence) && (last === undefined || goesBefore(last, sequence))) last = sequence
    return last
  }
}

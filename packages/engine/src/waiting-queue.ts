import type { Sequence } from './sequence.ts'

/** Sequences that wait for a row: by priority, lower first, and by arrival within one. Short enough for a sorted list. */
export class WaitingQueue {
  readonly #sequences: Sequence[] = []

  get size(): number {
    return this.#sequences.length
  }

  get head(): Sequence | undefined {
    return this.#sequences[0]
  }

  /** The best `count`, or as many as there are; the list does not follow. */
  first(count: number): readonly Sequence[] {
    return this.#sequences.slice(0, count)
  }

  add(sequence: Sequence): void {
    const after = this.#sequences.findIndex((other) => goesBefore(sequence, other))
    this.#sequences.splice(after < 0 ? this.#sequences.length : after, 0, sequence)
  }

  /** Says whether it was there. */
  remove(sequence: Sequence): boolean {
    const index = this.#sequences.indexOf(sequence)
    if (index >= 0) this.#sequences.splice(index, 1)
    return index >= 0
  }

  [Symbol.iterator](): Iterator<Sequence> {
    return this.#sequences[Symbol.iterator]()
  }
}

/** Whether `left` outranks `right`. A preempted sequence keeps its place: its arrival does not change. */
export function goesBefore(left: Sequence, right: Sequence): boolean {
  return left.priority === right.priority ? left.arrival < right.arrival : left.priority < right.priority
}

export function byRank(left: Sequence, right: Sequence): number {
  return goesBefore(left, right) ? -1 : 1
}

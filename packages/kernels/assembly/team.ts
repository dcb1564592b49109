/** Looks at the generation so often before it goes to sleep: some ten microseconds, longer than most phases of a step. */
const SPINS: i32 = 4000

/** Longer than any phase takes, in nanoseconds: who has not come by then is gone. */
const PATIENCE: i64 = 30_000_000_000
/** What `atomic.wait` answers then. */
const TIMED_OUT: i32 = 2

/** Threads that compute one step together. All of it is shared memory, four zero words at first. */
@unmanaged
export class Team {
  /** Counts barriers. */
  generation: i32
  arrived: i32
  asleep: i32
  /** Counts steps; helpers wait for it between two. */
  step: i32
  /** Not 0: helpers leave at the next step. */
  over: i32
}

/** Returns once all `threads` have come here. Waits awake for a moment, then asleep, never for ever awake. */
export function meet(team: Team, threads: i32): void {
  if (threads == 1) return
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(team)
    const generation = atomic.load<i32>(at + offsetof<Team>('generation'))
    if (atomic.add<i32>(at + offsetof<Team>('arrived'), 1) == threads - 1) {
      atomic.store<i32>(at + offsetof<Team>('arrived'), 0)
      advance(at, at + offsetof<Team>('generation'), threads)
    } else awaitChange(at, at + offsetof<Team>('generation'), generation, PATIENCE)
  }
}

/** Wakes the helpers for a step, or, if it is over, for good. */
export function callTeam(team: Team, threads: i32, over: bool): void {
  if (threads == 1) return
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(team)
    atomic.store<i32>(at + offsetof<Team>('over'), i32(over))
    advance(at, at + offsetof<Team>('step'), threads)
  }
}

/** A helper's wait for the step after the `seen`-th. Returns its number, or −1 when the team is over. */
export function awaitStep(team: Team, seen: i32): i32 {
  if (ASC_FEATURE_THREADS) {
    const at = changetype<usize>(team)
    awaitChange(at, at + offsetof<Team>('step'), seen, -1)
    return atomic.load<i32>(at + offsetof<Team>('over')) != 0 ? -1 : seen + 1
  }
  return -1
}


@inline
function advance(team: usize, counter: usize, threads: i32): void {
  if (ASC_FEATURE_THREADS) {
    atomic.add<i32>(counter, 1)
    if (atomic.load<i32>(team + offsetof<Team>('asleep')) != 0) atomic.notify(counter, threads)
  }
}

/**
 * Who goes to sleep says so first and then looks once more, as part of the wait: nobody sleeps through the change. Traps when nothing has changed
 * for `patience` nanoseconds.
 */
function awaitChange(team: usize, counter: usize, from: i32, patience: i64): void {
  if (ASC_FEATURE_THREADS) {
    for (let spin = 0; spin < SPINS; spin++) if (atomic.load<i32>(counter) != from) return
    atomic.add<i32>(team + offsetof<Team>('asleep'), 1)
    while (atomic.load<i32>(counter) == from)
      if (atomic.wait<i32>(counter, from, patience) == TIMED_OUT) unreachable()
    atomic.sub<i32>(team + offsetof<Team>('asleep'), 1)
  }
}

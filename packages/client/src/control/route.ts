/** Requests by which the queue of the replica that knows a prompt's beginning may be longer: reading it anew costs more than waiting for them. */
export const AFFINITY_SLACK = 2

/**
 * Which replica gets a request: the one that has the beginning of its prompt in the cache, unless its queue is much longer than the shortest; else the
 * shortest queue, of equal ones the first.
 * @param loads requests in the hands of each replica; at least one. @param affinity index of the replica that knows the beginning.
 */
export function chooseReplica(loads: readonly number[], affinity?: number): number {
  if (loads.length === 0) throw new Error('no replica to choose from')
  const least = Math.min(...loads)
  if (affinity !== undefined && (loads[affinity] ?? Infinity) <= least + AFFINITY_SLACK) return affinity
  return loads.indexOf(least)
}

/** What a model would like to have of the memory that all share. */
export interface ReplicaDemand {
  readonly model: string
  readonly desired: number
  /** What it has now. */
  readonly replicas: number
  readonly replicaBytes: number
}

/**
 * How many replicas each model gets where not all that they desire fit into `budgetBytes`: first one for each, those that run before those that
 * do not, then in turns. What is beyond the budget is not granted, though it runs: whoever asks stops it.
 */
export function fitReplicas(
  demands: readonly ReplicaDemand[],
  budgetBytes: number,
): ReadonlyMap<string, number> {
  const granted = new Map(demands.map(({ model }) => [model, 0]))
  const inTurn = [...demands].sort((one, other) => Number(other.replicas > 0) - Number(one.replicas > 0))
  let left = budgetBytes
  for (let round = 1, hasGiven = true; hasGiven; round++) {
    hasGiven = false
    for (const { model, desired, replicaBytes } of inTurn) {
      if (desired < round || (granted.get(model) ?? 0) < round - 1 || replicaBytes > left) continue
      granted.set(model, round)
      left -= replicaBytes
      hasGiven = true
    }
  }
  return granted
}

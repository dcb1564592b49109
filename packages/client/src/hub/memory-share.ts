import type { ReplicaDemand } from '../control/replica-budget.ts'
import { fitReplicas } from '../control/replica-budget.ts'

/** How many replicas a model may have now: its share of the budget that all have together, as far as what the others run leaves room for it already. */
export function memoryShare(model: string, demands: readonly ReplicaDemand[], budgetBytes: number): number {
  const own = demands.find((demand) => demand.model === model)
  if (own === undefined) return Infinity // not loaded yet
  const usedBytes = demands.reduce(
    (sum, { replicas, replicaBytes }) => sum + replicas * replicaBytes,
    -own.replicas * own.replicaBytes,
  )
  const free = Math.floor((budgetBytes - usedBytes) / own.replicaBytes)
  return Math.min(fitReplicas(demands, budgetBytes).get(model) ?? 0, Math.max(own.replicas, free))
}

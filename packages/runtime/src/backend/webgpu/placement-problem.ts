import type { GpuPlacement } from '@tabserve/protocol'

/** What is wrong with where the nodes of a graph run; `undefined`: the GPU has all that it should. */
export function placementProblem({ unexpected }: GpuPlacement): string | undefined {
  if (unexpected.length === 0) return undefined
  const counts = new Map<string, number>()
  for (const op of unexpected) counts.set(op, (counts.get(op) ?? 0) + 1)
  const list = [...counts].map(([op, count]) => `${count} ${op}`).join(', ')
  return `${unexpected.length} nodes run on the CPU, with copies there and back in every step: ${list}; on WebGPU take q4 or fp32 weights`
}

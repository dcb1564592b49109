import type { HeldModel, ModelInfo, Scaling } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** Most bytes that a loaded model may come to take: its weights and its KV cache, or its heap where that is known to be more. */
export function modelBytes({ heapBytes = 0, kvBytes, manifest }: ModelInfo): number {
  return Math.max(heapBytes, kvBytes + fileBytes(manifest.files))
}

/** Replicas that a model has room for, whether they are awake or not. More of a range give way by themselves. */
export function leastReplicas({ replicas = 1 }: Scaling): number {
  if (replicas === 'auto') return 1 // as many as fit
  return Math.max(1, typeof replicas === 'object' ? replicas.min : replicas)
}

/** What a loaded model counts for. */
export function heldOf({ info, scaling }: HeldModel): Held {
  return { id: info.id, bytes: modelBytes(info) * leastReplicas(scaling) }
}

/** Whether a model sleeps so that others may have its memory: nothing but `wake` brings it back. */
export function hasGivenBack({ sleep }: HeldModel): boolean {
  return sleep !== undefined && (sleep.level ?? 1) > 0 && sleep.arriving !== 'wake'
}

/** A loaded model, all its replicas together. */
export interface Held {
  readonly id: string
  readonly bytes: number
}

/** Throws `memory` where a model of `bytes` does not fit beside those that are loaded. */
export function checkRoom(id: string, bytes: number, loaded: readonly Held[], budgetBytes: number): void {
  const used = loaded.reduce((sum, { bytes }) => sum + bytes, 0)
  if (used + bytes <= budgetBytes) return
  const beside = used === 0 ? '' : ` beside ${megabytes(used)} of ${loaded.map(({ id }) => id).join(', ')}`
  const advice = 'Unload a model, lower contextLength or kvBudgetBytes, or raise memoryBudgetBytes.'
  throw new EngineError(
    'memory',
    `${id} needs about ${megabytes(bytes)}${beside}; the budget is ${megabytes(budgetBytes)}. ${advice}`,
  )
}

function fileBytes(files: ModelInfo['manifest']['files']): number {
  return files.reduce((sum, file) => sum + file.bytes, 0)
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`
}

import type { FixedScaling } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** More workers than this have more threads than any machine cores. */
const MOST_REPLICAS = 32

/** A load's `replicas` and `idleTimeoutMs`, checked and filled in. Throws `bad_request`. */
export function resolveScaling({ replicas = 1, idleTimeoutMs }: FixedScaling): {
  readonly min: number
  readonly max: number
  readonly idleTimeoutMs: number | undefined
} {
  const { min, max } = typeof replicas === 'object' ? replicas : { min: replicas, max: replicas }
  checkReplicas('replicas', min, 0)
  checkReplicas('replicas', max, Math.max(1, min))
  if (idleTimeoutMs !== undefined && !(typeof idleTimeoutMs === 'number' && idleTimeoutMs > 0))
    throw new EngineError(
      'bad_request',
      `idleTimeoutMs ${String(idleTimeoutMs)} must be a number of milliseconds above 0.`,
    )
  return { min, max, idleTimeoutMs }
}

/** One GPU would compute for all replicas, and hold the weights once for each. Throws `bad_request`. */
export function refuseReplicasOnGpu(most: number): void {
  if (most <= 1) return
  const message = `${most} replicas would share one GPU: a model on it has one. Leave out \`replicas\`, or load it with device: 'wasm'.`
  throw new EngineError('bad_request', message)
}

/** Throws `bad_request`. */
export function checkReplicas(option: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least && value <= MOST_REPLICAS) return
  throw new EngineError(
    'bad_request',
    `${option} ${String(value)} must be a whole number from ${least} to ${MOST_REPLICAS}.`,
  )
}

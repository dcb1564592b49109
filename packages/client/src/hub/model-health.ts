import type { EngineError, ModelHealth, ModelInfo, ReplicaState } from '@tabserve/protocol'
import type { Replica } from './replica.ts'

export interface ModelFacts {
  readonly info: ModelInfo
  readonly replicas: readonly Replica[]
  readonly wanted: number
  readonly waiting: number
  readonly sleep: ModelHealth['sleep']
  /** What kept the last replica from starting. */
  readonly problem: EngineError | undefined
}

/** How one model is, from how its replicas are. */
export function modelHealth({ info, replicas, wanted, waiting, sleep, problem }: ModelFacts): ModelHealth {
  const healths = replicas.map((replica) => replica.health()).filter((health) => health !== undefined)
  const count = (wanted: ReplicaState) => healths.filter(({ state }) => state === wanted).length
  const hasFailed = count('failed') > 0 || problem !== undefined
  const isComing = count('starting') + count('restarting') > 0
  const awake = count('ready') > 0 ? 'ready' : isComing ? 'starting' : hasFailed ? 'failed' : 'asleep'
  const state = sleep === undefined ? awake : 'asleep'
  const last = replicas.find((replica) => replica.problem !== undefined)?.problem ?? problem
  return {
    id: info.id,
    name: info.manifest.name,
    version: info.manifest.version,
    state,
    ready: state === 'asleep' || (state === 'ready' && count('ready') >= wanted),
    wanted,
    replicas: healths,
    waiting,
    ...(sleep === undefined ? {} : { sleep }),
    ...(last === undefined ? {} : { problem: last.message }),
  }
}

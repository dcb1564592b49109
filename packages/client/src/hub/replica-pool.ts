import type { EngineError, LoadRequest, ModelInfo } from '@tabserve/protocol'
import { chooseReplica } from '../control/route.ts'
import { Changes } from './changes.ts'
import { PrefixHomes } from './prefix-homes.ts'
import { Replica } from './replica.ts'
import type { WorkerLink } from './worker-link.ts'

export interface ReplicaPoolPorts {
  readonly request: LoadRequest
  /** Starts a worker for one of this many replicas. */
  readonly startWorker: (numReplicas: number) => Promise<WorkerLink>
  /** Another worker is about to take the place of one that died, for this many times. */
  readonly onRestart: (restarts: number) => void
  /** A replica has loaded the model. */
  readonly onLoaded: (info: ModelInfo) => void
}

/** The replicas of one model: brings their number to what is wanted, and says which of them gets a request. */
export class ReplicaPool {
  /** Told whenever a replica's state or queue has changed, or their number. */
  readonly changes = new Changes()
  readonly #ports: ReplicaPoolPorts
  readonly #homes = new PrefixHomes<Replica>()
  #replicas: Replica[] = []
  #wanted = 0
  #problem: EngineError | undefined

  constructor(ports: ReplicaPoolPorts) {
    this.#ports = ports
  }

  get all(): readonly Replica[] {
    return this.#replicas
  }

  /** How many there are to be. */
  get wanted(): number {
    return this.#wanted
  }

  /** Why the last one that could not be started could not. */
  get problem(): EngineError | undefined {
    return this.#problem
  }

  get ready(): readonly Replica[] {
    return this.#replicas.filter(({ state }) => state === 'ready')
  }

  /** Lets what is over be tried again. */
  forgive(): void {
    this.#problem = undefined
  }

  /** The first one, which tells of its load on `port`; whoever calls hears of its failure. @param numReplicas as many as are to follow, itself included. */
  startFirst(numReplicas: number, port: MessagePort): Promise<ModelInfo> {
    this.#wanted = 1
    return this.#add(numReplicas).start(port)
  }

  /** Brings the number of replicas there; what is too many is drained first. */
  want(wanted: number): void {
    this.#wanted = wanted
    for (const replica of this.#replicas) if (replica.state === 'failed') replica.dispose('it had failed')
    const staying = () => this.#replicas.filter(({ state }) => state !== 'draining' && state !== 'gone')
    for (let count = staying().length; count < wanted; count++) {
      const drained = this.#replicas.find(({ state }) => state === 'draining')
      if (drained === undefined) this.#startAnother(wanted)
      else drained.resume()
    }
    for (let left = staying(); left.length > wanted; left = staying()) {
      const idlest = left.reduce((a, b) => (rankToGo(b) < rankToGo(a) ? b : a))
      if (idlest.state === 'ready') idlest.drain()
      else idlest.dispose('fewer are wanted')
    }
    this.changed()
  }

  /** Resolves when as many are ready as wanted and no others are there. Throws what keeps one from starting. */
  async reach(wanted: number): Promise<void> {
    this.#problem = undefined
    this.want(wanted)
    await this.changes.until(() => {
      const { length } = this.#replicas
      if (this.#problem !== undefined && length < wanted) throw this.#problem
      return this.#wanted !== wanted || (length === wanted && this.ready.length === wanted)
    })
  }

  /** The one that gets a request whose prompt begins so; `undefined` while none is ready. @param isBound it must go where its beginning is, however long the queue. */
  pick(beginnings: readonly string[], isBound = false): Replica | undefined {
    const { ready } = this
    if (ready.length === 0) return undefined
    const home = this.#homes.find(beginnings)
    if (isBound && home?.worker !== undefined) return home
    const affinity = home === undefined ? -1 : ready.indexOf(home)
    const chosen = chooseReplica(
      ready.map(({ numRequests }) => numRequests),
      affinity < 0 ? undefined : affinity,
    )
    const replica = ready[chosen]
    if (replica !== undefined) this.#homes.remember(beginnings, replica)
    return replica
  }

  /** Lets no request near any of them; those that are ready keep everything, others end. */
  rest(): void {
    for (const replica of this.#replicas) {
      if (replica.state === 'ready') replica.rest()
      else if (replica.state !== 'asleep' && replica.state !== 'draining') replica.dispose('its model sleeps')
    }
    this.changed()
  }

  /** One that holds the model, ready or at rest: the one that gets such prompts, if there is one. */
  find(beginnings: readonly string[]): Replica | undefined {
    return this.pick(beginnings) ?? this.#replicas.find(({ holder }) => holder !== undefined)
  }

  /** Ends every one at once. */
  dispose(reason: string): void {
    for (const replica of this.#replicas) replica.dispose(reason)
    this.changed()
  }

  /** Lets go of those that are gone, and tells who waits. */
  changed(): void {
    for (const replica of this.#replicas)
      if (replica.state === 'draining' && replica.numRequests === 0) replica.dispose('it was drained')
    const gone = this.#replicas.filter(({ state }) => state === 'gone')
    this.#replicas = this.#replicas.filter(({ state }) => state !== 'gone')
    for (const replica of gone) {
      this.#homes.forget(replica)
      if (replica.startFailure === undefined) continue
      // What cannot be had is not wanted, until somebody asks again.
      this.#problem = replica.startFailure
      this.#wanted = Math.min(this.#wanted, this.#replicas.length)
    }
    this.changes.tell()
  }

  #startAnother(numReplicas: number): void {
    this.#add(numReplicas)
      .start()
      .then(
        (info) => {
          this.#ports.onLoaded(info)
          this.changed()
        },
        () => {}, // `startFailure` tells
      )
  }

  #add(numReplicas: number): Replica {
    const replica = new Replica(this.#ports.request, {
      startWorker: () => this.#ports.startWorker(numReplicas),
      onChange: () => this.changed(),
      onRestart: (restarts) => this.#ports.onRestart(restarts),
    })
    this.#replicas.push(replica)
    return replica
  }
}

/** Who goes first when there are too many: one that has failed, one that is not ready yet, then the one with the shortest queue. */
function rankToGo({ state, numRequests }: Replica): number {
  return state === 'failed' ? -2 : state === 'ready' ? numRequests : -1
}

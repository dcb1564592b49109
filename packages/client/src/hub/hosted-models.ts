import type { HeldModel, LoadRequest, ModelInfo, Request, RequestEvent, Scaling } from '@tabserve/protocol'
import { EngineError, pipelineModels } from '@tabserve/protocol'
import type { HostLoadOptions, HostSource, ModelHost, PickedSource } from '../control/model-host.ts'
import { withPort } from '../with-port.ts'
import { Flights } from './flights.ts'
import type { Host } from './host.ts'
import { handOver } from './link.ts'
import type { WhenTight } from './with-room.ts'
import { withRoom } from './with-room.ts'

/** The models of a host, this tab's or another's, as the control plane sees them. */
export class HostedModels implements ModelHost {
  readonly #host: Host
  readonly #whenTight: WhenTight
  readonly #flights: Flights

  constructor(host: Host, whenTight: WhenTight) {
    this.#host = host
    this.#whenTight = whenTight
    this.#flights = new Flights(host)
  }

  load(source: HostSource, options: HostLoadOptions): Promise<ModelInfo> {
    return this.loadFrom(source, options)
  }

  /** @param source an address, or files that the user picked. */
  async loadFrom(
    source: HostSource | PickedSource,
    { onProgress, signal, replicas, idleTimeoutMs, ...serving }: HostLoadOptions,
  ): Promise<ModelInfo> {
    if (signal?.aborted === true)
      throw new EngineError('aborted', 'The signal had fired before the load began.')
    const request: LoadRequest = { ...serving, ...source }
    const scaling: Scaling = {
      ...(replicas === undefined ? {} : { replicas }),
      ...(idleTimeoutMs === undefined ? {} : { idleTimeoutMs }),
    }
    return withRoom(this.#host, this.#whenTight, () =>
      withPort(onProgress, signal, (port) =>
        this.#host.call((api) => api.load(request, scaling, handOver(port))),
      ),
    )
  }

  async unload(id: string): Promise<void> {
    await this.#host.call((api) => api.unload(id))
  }

  submit(request: Request, take: (event: RequestEvent) => void): () => void {
    return this.#flights.submit(request, take)
  }

  held(): Promise<readonly HeldModel[]> {
    return this.#host.call((api) => api.held())
  }

  async folderBytes({ url, hub, pipeline }: HostSource): Promise<number> {
    if (pipeline !== undefined) {
      const each = pipelineModels(pipeline).map((model) => this.folderBytes({ url: model }))
      return (await Promise.all(each)).reduce((sum, bytes) => sum + bytes, 0)
    }
    const { totalBytes } = await this.#host.call((api) => api.storedStatus(hub ?? { url }))
    return totalBytes
  }

  /** Ends all requests, and all that come, with this error. */
  failAll(error: EngineError): void {
    this.#flights.failAll(error)
  }
}

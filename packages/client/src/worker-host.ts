import type {
  GenerateRequest,
  LoadRequest,
  ModelInfo,
  RequestCommand,
  RequestEvent,
} from '@tabserve/protocol'
import { EngineError, toWireError } from '@tabserve/protocol'
import type { HostLoadOptions, HostSource, ModelHost, PickedSource } from './control/model-host.ts'
import type { WorkerLink } from './hub/worker-link.ts'
import { handOver } from './hub/worker-link.ts'
import { withPort } from './models.ts'

/** One worker as the control plane sees it. */
export class WorkerHost implements ModelHost {
  /** The worker as it is, perhaps dead. */
  readonly #link: () => WorkerLink
  /** Starts a new one in place of a dead one. */
  readonly #revive: () => Promise<void>

  constructor(link: () => WorkerLink, revive: () => Promise<void>) {
    this.#link = link
    this.#revive = revive
  }

  load(source: HostSource, options: HostLoadOptions): Promise<ModelInfo> {
    return this.loadFrom(source, options)
  }

  /** @param source an address, or files that the user picked. */
  async loadFrom(
    source: HostSource | PickedSource,
    { onProgress, signal, ...serving }: HostLoadOptions,
  ): Promise<ModelInfo> {
    if (signal?.aborted === true)
      throw new EngineError('aborted', 'The signal had fired before the load began.')
    await this.#revive()
    const request: LoadRequest = { ...serving, ...source }
    return withPort(onProgress, signal, (port) =>
      this.#link().call((api) => api.load(request, handOver(port))),
    )
  }

  async unload(id: string): Promise<void> {
    await this.#link().call((api) => api.unload(id))
  }

  submit(request: GenerateRequest, take: (event: RequestEvent) => void): () => void {
    const link = this.#link()
    const { port1, port2 } = new MessageChannel()
    let isOver = false
    let forget = () => {}
    const hear = (event: RequestEvent) => {
      if (isOver) return
      isOver = event.type !== 'delta'
      take(event)
      if (!isOver) return
      forget()
      port1.close()
    }
    const fail = (error: unknown) => hear({ type: 'error', error: toWireError(error, 'bad_request') })
    port1.onmessage = ({ data }: MessageEvent<RequestEvent>) => hear(data)
    forget = link.onDeath(fail)
    if (!link.alive) return () => {}
    let isSent = false
    let isCancelled = false
    // The request goes first, so that a cancel finds it; and after this task, so that one whose signal had fired before goes as cancelled.
    queueMicrotask(() => {
      isSent = true
      link.send((api) => api.submit(request, handOver(port2), isCancelled)).catch(fail)
    })
    return () => {
      if (isSent) port1.postMessage({ type: 'cancel' } satisfies RequestCommand)
      else isCancelled = true
    }
  }

  async folderBytes({ url, hub }: HostSource): Promise<number> {
    await this.#revive()
    const { totalBytes } = await this.#link().call((api) => api.storedStatus(hub ?? { url }))
    return totalBytes
  }
}

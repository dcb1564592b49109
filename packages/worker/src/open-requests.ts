import type { Cancel, Emit } from '@tabserve/engine'
import type { RequestCommand, RequestEvent } from '@tabserve/protocol'
import { buffersOf, toWireError } from '@tabserve/protocol'

interface OpenRequest {
  readonly cancel: Cancel
  /** From now on nothing is said. */
  readonly silence: () => void
}

/** The requests of one worker that have not said their last word, each with its port. */
export class OpenRequests {
  readonly #open = new Map<string, OpenRequest>()

  /** Starts a request that says everything on `port`. Resolves when it has said its last word. @param isCancelled it ends without a step. */
  open(id: string, port: MessagePort, start: (emit: Emit) => Cancel, isCancelled: boolean): Promise<void> {
    return new Promise((resolve) => {
      let cancel: Cancel = () => {}
      let isSilent = false
      const emit = (event: RequestEvent) => {
        if (!isSilent) port.postMessage(event, movedOf(event))
        if (event.type === 'delta') return
        port.close()
        this.#open.delete(id)
        resolve()
      }
      this.#open.set(id, { cancel: () => cancel(), silence: () => (isSilent = true) })
      port.onmessage = ({ data }: MessageEvent<RequestCommand | null>) => data?.type === 'cancel' && cancel()
      // Where browsers tell: a page that is gone waits for nothing.
      port.addEventListener('close', () => cancel())
      try {
        cancel = start(emit)
        if (isCancelled) cancel()
      } catch (error) {
        emit({ type: 'error', error: toWireError(error, 'bad_request') })
      }
    })
  }

  cancel(id: string): void {
    this.#open.get(id)?.cancel()
  }

  /** Ends a request without a word. */
  putOff(id: string): void {
    const request = this.#open.get(id)
    request?.silence()
    request?.cancel()
  }
}

/** Tensors are made for the page alone, so they move. */
function movedOf(event: RequestEvent): ArrayBuffer[] {
  return event.type === 'result' && event.outputs !== undefined ? buffersOf(event.outputs) : []
}

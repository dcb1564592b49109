import type { BrokerCommand, BrokerEvent } from '@tabserve/protocol'

/** How long a shared worker may take to start before a tab does without it. */
const WELCOME_MS = 5000

/** This tab's end of the broker. */
export class BrokerPort {
  readonly #port: MessagePort

  /** Resolves once the broker has answered; with `undefined` where there is none: no shared workers, or its script cannot be run. */
  static open(
    make: () => SharedWorker,
    onEvent: (event: BrokerEvent) => void,
  ): Promise<BrokerPort | undefined> {
    return new Promise((resolve) => {
      let worker: SharedWorker
      try {
        worker = make()
      } catch {
        return resolve(undefined) // a browser without them, or a script from another origin
      }
      const broker = new BrokerPort(worker.port)
      worker.addEventListener('error', () => resolve(undefined))
      setTimeout(() => resolve(undefined), WELCOME_MS)
      worker.port.onmessage = ({ data }: MessageEvent<BrokerEvent>) => {
        if (data.type === 'welcome') resolve(broker)
        else onEvent(data)
      }
      broker.tell({ type: 'hello' })
    })
  }

  private constructor(port: MessagePort) {
    this.#port = port
  }

  tell(command: BrokerCommand, ...transfer: Transferable[]): void {
    this.#port.postMessage(command, transfer)
  }

  close(): void {
    this.#port.close()
  }
}

import type { BrokerCommand, BrokerEvent, HeldModel } from '@tabserve/protocol'

interface Tab {
  readonly port: MessagePort
  /** Whether a leader got its port. */
  isServed: boolean
}

interface Connection {
  readonly from: Tab
  readonly tab: string
  readonly port: MessagePort
}

/** Brings the tabs of an origin together. Called once, by the entry file of a shared worker; it computes nothing and outlives every tab but the last. */
export function startBroker(scope: {
  addEventListener(type: 'connect', listener: (event: MessageEvent) => void): void
}): void {
  const broker = new Broker()
  scope.addEventListener('connect', ({ ports: [port] }) => {
    if (port !== undefined) broker.welcome(port)
  })
}

/** Who leads, what the leader has loaded, and who waits for one. Dead tabs are not told from living ones: locks do that. */
class Broker {
  readonly #tabs = new Set<Tab>()
  #leader: Tab | undefined
  #held: readonly HeldModel[] = []
  #waiting: Connection[] = []

  welcome(port: MessagePort): void {
    const tab: Tab = { port, isServed: false }
    this.#tabs.add(tab)
    port.onmessage = ({ data }: MessageEvent<unknown>) => isCommand(data) && this.#take(tab, data)
  }

  #take(from: Tab, command: BrokerCommand): void {
    switch (command.type) {
      case 'hello':
        return tell(from, { type: 'welcome' })
      case 'hold':
        if (from === this.#leader) this.#held = command.held
        return
      case 'lead':
        return this.#lead(from)
      case 'connect':
        this.#waiting.push({ from, tab: command.tab, port: command.port })
        return this.#connect()
    }
  }

  #lead(tab: Tab): void {
    this.#leader = tab
    tell(tab, { type: 'leading', held: this.#held })
    for (const other of this.#tabs) {
      if (other !== tab && other.isServed) tell(other, { type: 'leader-changed' })
      other.isServed = false
    }
    this.#connect()
  }

  #connect(): void {
    if (this.#leader === undefined) return
    for (const { from, tab, port } of this.#waiting.splice(0)) {
      from.isServed = true
      tell(this.#leader, { type: 'connect', tab, port }, port)
    }
  }
}

/** Any script of the origin may say anything. */
function isCommand(data: unknown): data is BrokerCommand {
  const { type, held, tab, port } = (data ?? {}) as Readonly<Record<string, unknown>>
  if (type === 'hold') return Array.isArray(held)
  if (type === 'connect') return typeof tab === 'string' && port instanceof MessagePort
  return type === 'hello' || type === 'lead'
}

function tell(tab: Tab, event: BrokerEvent, ...transfer: Transferable[]): void {
  tab.port.postMessage(event, transfer)
}

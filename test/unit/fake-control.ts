import type { AskRemote } from '../../packages/client/src/control/dispatcher.ts'
import { ControlPlane } from '../../packages/client/src/control/control-plane.ts'
import type {
  GenerateRequest,
  ModelIndex,
  RequestEvent,
  ServedBy,
} from '../../packages/protocol/src/index.ts'
import { Random } from '../../packages/engine/src/random.ts'
import { FakeClock } from './fake-clock.ts'
import { FakeHost } from './fake-host.ts'

/** What became of one request. */
export interface Told {
  readonly servers: ServedBy[]
  readonly events: RequestEvent[]
  cancel(): void
}

/** A control plane over fake models, with `m@1`, `m@2` and `m@3` registered and `m@1` loaded. */
export async function startControl({
  budgetBytes = Infinity,
  rolloutBudgetBytes = Infinity,
  askRemote = () => {
    throw new Error('nobody allowed a server')
  },
}: { budgetBytes?: number; rolloutBudgetBytes?: number; askRemote?: AskRemote } = {}) {
  const clock = new FakeClock()
  const host = new FakeHost(clock)
  const random = new Random(1)
  const control = new ControlPlane({
    host,
    clock,
    askRemote,
    random: () => random.next(),
    memoryBudgetBytes: budgetBytes,
    rolloutBudgetBytes,
  })
  control.register(INDEX, 'https://models.test/m/')
  const loading = control.load('m@1', {})
  await clock.advance(100)
  await loading
  const ask = (
    model: string,
    { stickyKey, ...request }: Partial<GenerateRequest> & { stickyKey?: string } = {},
  ): Told => {
    const servers: ServedBy[] = []
    const events: RequestEvent[] = []
    const cancel = control.submit({ task: 'generate', prompt: 'a', ...request, model }, stickyKey, {
      servedBy: (server) => servers.push(server),
      take: (event) => events.push(event),
    })
    return { servers, events, cancel }
  }
  return { clock, host, control, ask }
}

const INDEX: ModelIndex = {
  format: 'tabserve-model-index',
  formatVersion: 1,
  name: 'm',
  versionPolicy: { all: {} },
  versions: [{ version: '1' }, { version: '2' }, { version: '3' }],
}

export function lastWords({ events }: Told): RequestEvent[] {
  return events.filter(({ type }) => type !== 'delta')
}

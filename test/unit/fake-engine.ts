import type { GenerateRequest, RequestEvent } from '../../packages/protocol/src/index.ts'
import { Engine } from '../../packages/engine/src/engine.ts'
import type { Observer } from '../../packages/engine/src/observer.ts'
import { NO_OBSERVER } from '../../packages/engine/src/observer.ts'
import type { Prompt } from '../../packages/engine/src/open-choices.ts'
import type { Capabilities } from '../../packages/engine/src/model-runner.ts'
import type { SchedulerOptions } from '../../packages/engine/src/step-policy.ts'
import { resolveSampling } from '../../packages/engine/src/sampling-params.ts'
import { resolveScheduling } from '../../packages/engine/src/scheduling-params.ts'
import { FakeRunner, VOCAB } from './fake-runner.ts'

export const EOS = 8

/** A greedy request that runs past the end of the text, unless it says otherwise. */
export type Asked = Omit<GenerateRequest, 'task' | 'model'> & { tokens: number[]; eos?: boolean }

/** An engine on a fake model; its clock is the model's. */
export function startEngine(
  capabilities: Partial<Capabilities> = {},
  options: Partial<SchedulerOptions> = {},
  replaceRunner: (loss: Error) => Promise<FakeRunner> = (loss) => Promise.reject(loss),
  observer: Observer = NO_OBSERVER,
) {
  const runner = new FakeRunner(capabilities)
  const engine = new Engine(
    {
      runner,
      replaceRunner,
      decode: (tokens) => tokens.map((token) => `<${token}>`).join(''),
      eosTokenIds: [EOS],
      now: () => runner.clock,
      breathe: () => new Promise((resolve) => setImmediate(resolve)),
      sleep: async (ms) => {
        await new Promise((resolve) => setImmediate(resolve))
        runner.clock += ms
      },
      randomSeed: () => 1,
      observer,
    },
    { maxWaiting: 1000, targetGapMs: 100, speculation: 'off', ...options },
  )
  /** Long after the longest request here has ended: a turn of the event loop is a step. */
  const settled = async () => {
    for (let turn = 0; turn < 300; turn++) await new Promise((resolve) => setImmediate(resolve))
  }
  const ask = (asked: Asked) =>
    new Promise<RequestEvent[]>((resolve) => {
      const events: RequestEvent[] = []
      engine.submit(prompt(asked), (event) => {
        events.push(event)
        if (event.type !== 'delta') void settled().then(() => resolve(events)) // a second last word would come by then
      })
    })
  return { runner, engine, ask, settled }
}

export function prompt({ tokens, eos = false, resume, requestId = '', ...options }: Asked): Prompt {
  const request = { temperature: 0, ignoreEos: !eos, ...options }
  return {
    id: requestId,
    tokens,
    sampling: resolveSampling(request, VOCAB),
    scheduling: resolveScheduling(request),
    ...(resume === undefined ? {} : { resume: resume.map(({ tokens }) => tokens) }),
  }
}

export function tokensOf(events: readonly RequestEvent[], choice = 0): number[] {
  return events.flatMap((event) => (event.type === 'delta' && event.choice === choice ? event.tokens : []))
}

export function lastOf(events: readonly RequestEvent[]): RequestEvent {
  const last = events.at(-1)
  if (last === undefined) throw new Error('nothing was said')
  return last
}

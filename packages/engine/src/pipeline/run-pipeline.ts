import { EngineError, toWireError } from '@tabserve/protocol'
import type { PipelinePlan, PlannedNode } from './pipeline-plan.ts'
import { valueOf } from './pipeline-value.ts'

export interface PipelinePorts {
  /** One try of one node with one input. Fails soon after the signal has fired. */
  call(node: PlannedNode, input: unknown, signal: AbortSignal): Promise<unknown>
  /** Calls `run` once after `delayMs`. Returns how to take that back. */
  after(delayMs: number, run: () => void): () => void
}

/**
 * Runs a pipeline for one input. A node begins when the last of what it needs has come; branches run at once. The first node that fails for good
 * ends the others, and the error says which node it was. Rejects with `EngineError`.
 */
export async function runPipeline(
  plan: PipelinePlan,
  input: unknown,
  ports: PipelinePorts,
  signal: AbortSignal,
): Promise<unknown> {
  const given = new Map<string, unknown>([['input', input]])
  const running = new Map<string, Promise<void>>()
  const failure = new AbortController()
  const either = AbortSignal.any([signal, failure.signal])
  const run = async (planned: PlannedNode) => {
    await Promise.all(planned.needs.map((need) => running.get(need)))
    given.set(planned.name, await runNode(plan, planned, given, ports, either))
  }
  for (const planned of plan.nodes) running.set(planned.name, run(planned))
  try {
    await Promise.all(running.values())
    return valueOf(plan.output, given)
  } catch (error) {
    failure.abort()
    await Promise.allSettled(running.values())
    throw error
  }
}

async function runNode(
  { name }: PipelinePlan,
  planned: PlannedNode,
  given: ReadonlyMap<string, unknown>,
  ports: PipelinePorts,
  signal: AbortSignal,
): Promise<unknown> {
  try {
    const input = valueOf(planned.node.input, given)
    if (planned.node.forEach !== true) return await insist(planned, input, ports, signal)
    if (!Array.isArray(input)) throw new EngineError('bad_request', 'forEach needs a list as its input.')
    return await Promise.all(input.map((each) => insist(planned, each, ports, signal)))
  } catch (error) {
    const wire = toWireError(error, 'backend_failed')
    throw new EngineError(wire.code, `Node ${planned.name} of pipeline ${name}: ${wire.message}`, {
      node: planned.name,
      cause: error,
    })
  }
}

/** Tries until it goes well, or has failed once more than it may. */
async function insist(
  planned: PlannedNode,
  input: unknown,
  ports: PipelinePorts,
  signal: AbortSignal,
): Promise<unknown> {
  for (let retries = planned.retries; ; retries--) {
    try {
      return await attempt(planned, input, ports, signal)
    } catch (error) {
      if (retries === 0 || signal.aborted || isCallersFault(error)) throw error
    }
  }
}

async function attempt(
  planned: PlannedNode,
  input: unknown,
  ports: PipelinePorts,
  signal: AbortSignal,
): Promise<unknown> {
  if (signal.aborted) throw aborted()
  const late = new AbortController()
  let leave = () => {}
  const ended = new Promise<never>((_, reject) => {
    const cancel = ports.after(planned.timeoutMs, () => {
      reject(new EngineError('timeout', `it took longer than ${planned.timeoutMs} ms.`))
      late.abort()
    })
    const stop = () => reject(aborted())
    signal.addEventListener('abort', stop)
    leave = () => {
      cancel()
      signal.removeEventListener('abort', stop)
    }
  })
  try {
    return await Promise.race([ports.call(planned, input, AbortSignal.any([signal, late.signal])), ended])
  } finally {
    leave()
  }
}

/** Trying again changes nothing. */
function isCallersFault(error: unknown): boolean {
  return (
    error instanceof EngineError &&
    ['bad_request', 'unsupported_parameter', 'bad_model', 'aborted'].includes(error.code)
  )
}

function aborted(): EngineError {
  return new EngineError('aborted', 'The request was cancelled.')
}

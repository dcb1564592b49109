import type { DeviceChoice, DeviceName, MachineFacts, GenerateManifest, RunnerName } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** What a load asks for. */
export interface Wanted {
  readonly device: DeviceName | 'auto'
  readonly runner: RunnerName | 'auto'
}

/**
 * Where a model runs as far as that can be said without running it: as asked, or where the machine leaves one device only. `undefined`: it must be
 * measured. Throws `bad_request` where device and runner contradict each other.
 */
export function chooseByFacts(
  graph: GenerateManifest['graph'],
  { device, runner }: Wanted,
  facts: MachineFacts,
): DeviceChoice | undefined {
  const byRunner = runner === 'auto' ? 'auto' : runner === 'webgpu' ? 'webgpu' : 'wasm'
  if (device !== 'auto' && byRunner !== 'auto' && device !== byRunner) {
    const message = `runner ${runner} does not run on device ${device}: leave one of them out.`
    throw new EngineError('bad_request', message)
  }
  const asked = device === 'auto' ? byRunner : device
  if (asked !== 'auto') {
    const reason = `the load asked for ${device === 'auto' ? `runner ${runner}` : `device ${device}`}`
    return { device: asked, reason, by: 'asked', facts }
  }
  const problem = problemOfGpu(graph, facts)
  return problem === undefined ? undefined : { device: 'wasm', reason: problem, by: 'facts', facts }
}

/** Why a model is better not even tried on this GPU. */
function problemOfGpu(graph: GenerateManifest['graph'], { gpu }: MachineFacts): string | undefined {
  if (graph.kind === 'decoder-onnx') return "somebody else's graph runs on the CPU"
  if ('missing' in gpu) return gpu.missing
  const name = [gpu.vendor, gpu.architecture].join(' ')
  if (gpu.isSoftware) return `the adapter (${name}) is software: a CPU that pretends to be a GPU`
  if (graph.weights === 'int8') return 'int8 weights have no fast product on WebGPU'
  return undefined
}

import type { GpuPlacement } from '@tabserve/protocol'
import type { InferenceSession } from './gpu-ort.ts'

/** onnxruntime's levels; what runs where is said at the most talkative one only. */
const VERBOSE = 0
/** Lengths and shapes are computed on the CPU by design: a few bytes. */
const EXPECTED_ON_CPU = /^(Shape|Gather|Cast|Sub|Add|Squeeze|Unsqueeze|ReduceSum|Concat|Range)$/

/** What to give a session so that it says where its nodes run. */
export interface PlacementLogging {
  readonly logSeverityLevel: 0
  readonly logVerbosityLevel: 0
}

/**
 * Makes a session and listens to what onnxruntime logs meanwhile: nodes without a WebGPU kernel run on the CPU silently, and a copy there and back
 * in every layer is slower than no GPU at all.
 */
export async function watchPlacement(
  create: (logging: PlacementLogging) => Promise<InferenceSession>,
): Promise<{ session: InferenceSession; placement: GpuPlacement }> {
  const lines: string[] = []
  const restore = listen((line) => lines.push(line))
  try {
    const session = await create({ logSeverityLevel: VERBOSE, logVerbosityLevel: VERBOSE })
    return { session, placement: placementOf(lines) }
  } finally {
    restore()
  }
}

/** What the log says. Lines are `Node(s) placed on [Provider]. Number of nodes: n`, and under each `  Op (name)`. */
export function placementOf(lines: readonly string[]): GpuPlacement {
  let where = ''
  let numOnGpu = 0
  const onCpu: string[] = []
  for (const line of lines) {
    const header = /placed on \[(\w+)\]\.(?: Number of nodes: (\d+))?/.exec(line)
    if (header !== null) {
      where = header[1] ?? ''
      if (where.startsWith('WebGpu')) numOnGpu = Number(header[2] ?? 0)
      continue
    }
    const node = /\]\s+(\w+) \(.*\)\s*$/.exec(line)
    if (node !== null && where.startsWith('CPU')) onCpu.push(node[1] ?? '')
  }
  return { numOnGpu, onCpu, unexpected: onCpu.filter((op) => !EXPECTED_ON_CPU.test(op)) }
}

/** onnxruntime writes to the console: this worker has one to itself. */
function listen(take: (line: string) => void): () => void {
  const methods = ['log', 'info', 'debug', 'warn', 'error'] as const
  const before = methods.map((method) => console[method])
  for (const method of methods)
    console[method] = (...words: unknown[]) => {
      for (const line of words.join(' ').split('\n')) take(line)
    }
  return () => methods.forEach((method, index) => (console[method] = before[index]!))
}

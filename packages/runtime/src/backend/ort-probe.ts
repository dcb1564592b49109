import type { ModelRunner } from '@tabserve/engine'
import { HeapRunner } from './heap-runner.ts'
import type { OrtModule } from './ort-module.ts'
import { PROBE_DATA_BYTES, PROBE_GRAPH, probeOnnx } from './ort-probe-graph.ts'

const TOLERANCE = 1e-2
export const PROBE_OPTIONS = { rows: 2, contextLength: 32, maxTokensPerStep: 8 }

/** The first logits of the two steps, as onnxruntime-web's public API gives them; a browser test compares anew. */
export const PROBE_LOGITS: readonly (readonly number[])[] = [
  [9.864, 10.043, 1.268, -8.637, -10.843, -3.381, 7.095, 11.245],
  [-5.917, -11.599, -6.94, 3.906, 11.27, 8.585, -1.753, -10.529],
]

/**
 * The self-test of the heap interface: a prompt and one more token through a tiny decoder, whose KV must be read and written
 * in place for the numbers to come out. Says what is wrong, or `undefined`. Costs milliseconds.
 */
export async function probeFailure(module: OrtModule): Promise<string | undefined> {
  try {
    const runner = await HeapRunner.create(module, PROBE_GRAPH, probeFiles(), PROBE_OPTIONS)
    const found = await probeLogits(runner)
    await runner.dispose()
    const same = PROBE_LOGITS.every((step, index) =>
      step.every((wanted, at) => Math.abs(wanted - (found[index]?.[at] ?? NaN)) <= TOLERANCE),
    )
    return same ? undefined : 'it computes other numbers than the public API'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  }
}

/** The decoder's files, with weights from a formula: any numbers do, as long as they are always the same. */
export function probeFiles(): { graph: Uint8Array; externalData: Uint8Array } {
  const weights = Float32Array.from(
    { length: PROBE_DATA_BYTES / 4 },
    (_, index) => Math.sin(index * 12.9898) / 2,
  )
  return { graph: probeOnnx(), externalData: new Uint8Array(weights.buffer) }
}

/** The first eight logits behind a prompt of three tokens in row 1, and behind one token more. */
export async function probeLogits(runner: ModelRunner): Promise<number[][]> {
  const step = async (from: number, tokens: readonly number[]) => {
    const run = { kv: { row: 1 }, from, tokens: Int32Array.from(tokens), wantLogits: 'last', top: 0 } as const
    const { outputs } = await runner.run({ runs: [run] })
    return [...(outputs[0]?.values.subarray(0, 8) ?? [])]
  }
  return [await step(0, [3, 5, 7]), await step(3, [9])]
}

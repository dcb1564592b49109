import { HEAD_NORM_PARTS, PRE_NORM_PARTS } from './architecture.ts'
import type { Architecture } from './architecture.ts'
import { qwenWindows } from './qwen2.ts'

/** Qwen 2 without biases, with norms on the heads of query and key. */
export const qwen3: Architecture = {
  name: 'qwen3',
  activation: 'silu',
  normsAddOne: false,
  embeddingScale: () => 1,
  windows: qwenWindows,
  parts: { ...PRE_NORM_PARTS, ...HEAD_NORM_PARTS },
}

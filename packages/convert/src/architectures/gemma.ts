import { HEAD_NORM_PARTS, SANDWICH_NORM_PARTS } from './architecture.ts'
import type { Architecture, WindowConfig } from './architecture.ts'

/** Every other layer has a window; scores and logits are capped. */
export const gemma2: Architecture = {
  name: 'gemma2',
  activation: 'gelu-tanh',
  normsAddOne: true,
  embeddingScale: Math.sqrt,
  windows: (config) => patterned({ ...config, pattern: config.pattern ?? 2 }),
  parts: SANDWICH_NORM_PARTS,
}

/** Five layers of six have a window, and a rotation of their own; norms on the heads instead of caps. */
export const gemma3: Architecture = {
  name: 'gemma3',
  activation: 'gelu-tanh',
  normsAddOne: true,
  embeddingScale: Math.sqrt,
  windows: (config) => patterned({ ...config, pattern: config.pattern ?? 6 }),
  parts: { ...SANDWICH_NORM_PARTS, ...HEAD_NORM_PARTS },
}

/** The last layer of each `pattern` sees all. */
function patterned({ layers, slidingWindow = 0, pattern = 1 }: WindowConfig): number[] {
  return Array.from({ length: layers }, (_, layer) => ((layer + 1) % pattern === 0 ? 0 : slidingWindow))
}

import { PRE_NORM_PARTS } from './architecture.ts'
import type { Architecture } from './architecture.ts'

/** Llama with a window on every layer (0.1), or without (0.2 and later, where the configuration says null). */
export const mistral: Architecture = {
  name: 'mistral',
  activation: 'silu',
  normsAddOne: false,
  embeddingScale: () => 1,
  windows: ({ layers, slidingWindow = 0 }) => new Array<number>(layers).fill(slidingWindow),
  parts: PRE_NORM_PARTS,
}

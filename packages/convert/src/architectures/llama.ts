import { PRE_NORM_PARTS } from './architecture.ts'
import type { Architecture } from './architecture.ts'

/** Llama 1 to 3, SmolLM2, and many others that call themselves so. */
export const llama: Architecture = {
  name: 'llama',
  activation: 'silu',
  normsAddOne: false,
  embeddingScale: () => 1,
  windows: ({ layers }) => new Array<number>(layers).fill(0),
  parts: PRE_NORM_PARTS,
}

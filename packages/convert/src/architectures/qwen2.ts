import { PRE_NORM_PARTS } from './architecture.ts'
import type { Architecture, WindowConfig } from './architecture.ts'

/** Qwen 2 and 2.5: Llama with biases on query, key and value. */
export const qwen2: Architecture = {
  name: 'qwen2',
  activation: 'silu',
  normsAddOne: false,
  embeddingScale: () => 1,
  windows: qwenWindows,
  parts: PRE_NORM_PARTS,
}

/** Layers from `max_window_layers` on have the window, and only where it is switched on, which no published model does. */
export function qwenWindows({
  layers,
  slidingWindow = 0,
  useSlidingWindow = false,
  maxWindowLayers = layers,
}: WindowConfig): number[] {
  return Array.from({ length: layers }, (_, layer) =>
    useSlidingWindow && layer >= maxWindowLayers ? slidingWindow : 0,
  )
}

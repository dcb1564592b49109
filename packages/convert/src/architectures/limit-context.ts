import { ConvertError } from '../convert-error.ts'
import type { DecoderConfig } from './decoder-config.ts'

/** Rotary tables take 8 bytes a pair and position, and a browser has no room for the keys and values of 100,000 tokens. */
const DEFAULT_CONTEXT = 8192

/** The same model with fewer positions. The frequencies stay those of its full length. */
export function limitContext(config: DecoderConfig, wanted: number | undefined): DecoderConfig {
  if (wanted !== undefined && wanted > config.contextLength)
    throw new ConvertError(`the model was made for ${config.contextLength} positions, not for ${wanted}`)
  const contextLength = wanted ?? Math.min(DEFAULT_CONTEXT, config.contextLength)
  // A window that no position can outgrow is none.
  const windows = config.windows.map((window) => (window >= contextLength ? 0 : window))
  const local = config.windows.some((window) => window > 0) ? config.localRotaryTheta : undefined
  return { ...config, contextLength, windows: local === undefined ? windows : config.windows }
}

import { ConvertError } from '../convert-error.ts'
import type { DecoderConfig } from './decoder-config.ts'

/** Refuses numbers that no decoder has, before anything is counted by them. */
export function assertShape({ layers, heads, kvHeads, headDim }: Omit<DecoderConfig, 'windows'>): void {
  if (layers > MOST_LAYERS) throw new ConvertError(`the configuration says ${layers} layers`)
  if (heads % kvHeads !== 0) throw new ConvertError(`${heads} heads do not share ${kvHeads} KV heads evenly`)
  if (headDim % 2 !== 0) throw new ConvertError(`heads of ${headDim} cannot turn in pairs`)
}

const MOST_LAYERS = 1000

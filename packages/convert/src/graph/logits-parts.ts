import type { WeightForm } from '@tabserve/protocol'
import { ConvertError } from '../convert-error.ts'

/**
 * In how many column parts to cut the int8 output projection. One wide MatMulInteger is slow on wasm: at 576 × 49152 cutting it takes
 * 12.0 → 4.7 ms, at 288 × 32000 it does not pay.
 */
export function chooseLogitsParts(
  weights: WeightForm,
  hiddenSize: number,
  vocabSize: number,
  override: number | undefined,
): number {
  if (weights !== 'int8') return 1
  if (override !== undefined) {
    if (vocabSize % override !== 0) {
      throw new ConvertError(`the vocabulary of ${vocabSize} cannot be split in ${override} equal parts`)
    }
    return override
  }
  if (hiddenSize * vocabSize < SPLIT_FROM) return 1
  for (let parts = 32; parts <= 48; parts++) if (vocabSize % parts === 0) return parts
  return 1
}

const SPLIT_FROM = 512 * 32000

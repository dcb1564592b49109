import type { WeightForm } from '@tabserve/protocol'
import { ConvertError } from '../convert-error.ts'

/**
 * In how many column parts to cut the int8 output projection. One wide MatMulInteger is slow on wasm: at 576 × 49152 cutting takes
 * a whole step of the 135M shape from 32.3 to 25.0 ms, at 288 × 32000 one of the 15M shape from 3.4 to 4.5 (Node, one thread, best of many).
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

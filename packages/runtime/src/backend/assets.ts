import { kernelAssets } from '@tabserve/kernels/assets'
import type { WorkerAssets } from '@tabserve/protocol'
import { grammarAsset } from '../grammar/xgrammar-asset.ts'
import { ortAssets } from './ort-assets.ts'

/** Where the bundler put the files of other packages that a worker fetches. */
export const assets: Omit<WorkerAssets, 'converter' | 'transformers'> = {
  ...ortAssets,
  kernels: kernelAssets,
  grammar: grammarAsset,
}

import type { DecoderConfig } from './architectures/decoder-config.ts'
import { readJson } from './checkpoint/source-folder.ts'
import type { StoredTensor } from './checkpoint/stored-tensor.ts'
import { readGgufConfig } from './gguf/config.ts'
import { readGguf } from './gguf/file.ts'
import { readConfig } from './huggingface/config.ts'
import { openWeights } from './huggingface/weights.ts'
import { DiskFolder } from './node/disk-folder.ts'
import { FileSource } from './node/file-source.ts'

/** What a checkpoint is, without its weights read. */
export interface CheckpointFacts {
  readonly architecture: string
  readonly config: DecoderConfig
  readonly parameters: number
  /** What the numbers are stored as, with the parameters of each, the most frequent first. */
  readonly types: readonly (readonly [type: string, parameters: number])[]
}

/** Throws a `ConvertError` for what cannot be converted, and says why. */
export function describeGguf(path: string): CheckpointFacts {
  const source = new FileSource(path)
  try {
    const gguf = readGguf(source)
    const { config } = readGgufConfig(gguf)
    const architecture = String(gguf.metadata.get('general.architecture'))
    return { architecture, config, ...weightFacts(gguf.tensors.values()) }
  } finally {
    source.dispose()
  }
}

/** Throws a `ConvertError` for what cannot be converted, and says why. */
export function describeHuggingFace(path: string): CheckpointFacts {
  const folder = new DiskFolder(path)
  const json = readJson(folder, 'config.json')
  const { config } = readConfig(json)
  const { tensors, dispose } = openWeights(folder)
  try {
    const { model_type: architecture } = json as { model_type: string } // readConfig has looked
    return { architecture, config, ...weightFacts(tensors.values()) }
  } finally {
    dispose()
  }
}

function weightFacts(tensors: Iterable<StoredTensor>): Pick<CheckpointFacts, 'parameters' | 'types'> {
  const counts = new Map<string, number>()
  for (const { type, shape } of tensors)
    counts.set(type, (counts.get(type) ?? 0) + shape.reduce((product, size) => product * size, 1))
  const types = [...counts].sort(([, left], [, right]) => right - left)
  return { parameters: types.reduce((sum, [, count]) => sum + count, 0), types }
}

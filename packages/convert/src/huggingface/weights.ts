import type { ByteSource } from '../checkpoint/byte-source.ts'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import type { SourceFolder } from '../checkpoint/source-folder.ts'
import { readJson } from '../checkpoint/source-folder.ts'
import type { Checkpoint, StoredTensor } from '../checkpoint/stored-tensor.ts'
import { ConvertError } from '../convert-error.ts'

/** The weights of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names. */
export function openWeights(folder: SourceFolder): Checkpoint {
  const sources: ByteSource[] = []
  const dispose = (): void => sources.forEach((source) => source.dispose())
  try {
    const tensors = new Map<string, StoredTensor>()
    for (const file of weightFiles(folder)) {
      const source = folder.open(file)
      sources.push(source)
      for (const tensor of readSafetensors(source)) {
        if (tensors.has(tensor.name))
          throw new ConvertError(`${folder.name} has the tensor ${tensor.name} twice`)
        tensors.set(tensor.name, tensor)
      }
    }
    return { tensors, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

function weightFiles(folder: SourceFolder): string[] {
  if (folder.has(SINGLE)) return [SINGLE]
  if (!folder.has(INDEX)) {
    const message = `${folder.name} has neither ${SINGLE} nor ${INDEX}`
    throw new ConvertError(message, { kind: 'missing', file: SINGLE })
  }
  const path = folder.pathOf(INDEX)
  const index = readJson(folder, INDEX) as { weight_map?: unknown } | null
  const map = index?.weight_map
  if (typeof map !== 'object' || map === null) throw new ConvertError(`${path} has no "weight_map"`)
  const files = [...new Set(Object.values(map as Record<string, unknown>))]
  return files.map((file) => {
    // A shard lies beside its index; anything else would read what the folder does not own.
    if (typeof file !== 'string' || /[/\\]/.test(file) || !file.endsWith('.safetensors'))
      throw new ConvertError(
        `${path} names the shard ${JSON.stringify(file)}, which is no file of its folder`,
      )
    if (!folder.has(file))
      throw new ConvertError(`${folder.name} lacks the shard ${file}`, { kind: 'missing', file })
    return file
  })
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

import { existsSync, readFileSync } from 'node:fs'
import { basename, join } from 'node:path'
import { ConvertError } from '../convert-error.ts'
import { FileSource } from '../checkpoint/byte-source.ts'
import { readSafetensors } from '../checkpoint/safetensors.ts'
import type { Checkpoint, StoredTensor } from '../checkpoint/stored-tensor.ts'

/** The weights of a Hugging Face folder: `model.safetensors`, or the shards that `model.safetensors.index.json` names. */
export function openHuggingFace(folder: string): Checkpoint {
  const sources: FileSource[] = []
  const dispose = (): void => sources.forEach((source) => source.dispose())
  try {
    const tensors = new Map<string, StoredTensor>()
    for (const file of weightFiles(folder)) {
      const source = new FileSource(join(folder, file))
      sources.push(source)
      for (const tensor of readSafetensors(source)) {
        if (tensors.has(tensor.name)) throw new ConvertError(`${folder} has the tensor ${tensor.name} twice`)
        tensors.set(tensor.name, tensor)
      }
    }
    return { tensors, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

function weightFiles(folder: string): string[] {
  if (existsSync(join(folder, SINGLE))) return [SINGLE]
  const path = join(folder, INDEX)
  if (!existsSync(path)) throw new ConvertError(`${folder} has neither ${SINGLE} nor ${INDEX}`)
  const index = readJson(path) as { weight_map?: unknown } | null
  const map = index?.weight_map
  if (typeof map !== 'object' || map === null) throw new ConvertError(`${path} has no "weight_map"`)
  const files = [...new Set(Object.values(map as Record<string, unknown>))]
  return files.map((file) => {
    // A shard lies beside its index; anything else would read what the folder does not own.
    if (typeof file !== 'string' || file !== basename(file) || !file.endsWith('.safetensors'))
      throw new ConvertError(
        `${path} names the shard ${JSON.stringify(file)}, which is no file of its folder`,
      )
    if (!existsSync(join(folder, file))) throw new ConvertError(`${folder} lacks the shard ${file}`)
    return file
  })
}

/** A JSON file of a model folder. */
export function readJson(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new ConvertError(
      `${path} cannot be read as JSON: ${cause instanceof Error ? cause.message : String(cause)}`,
    )
  }
}

const SINGLE = 'model.safetensors'
const INDEX = 'model.safetensors.index.json'

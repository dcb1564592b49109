import type { PickedFile } from '@tabserve/protocol'
import { ConvertError } from '../convert-error.ts'
import { openGguf } from '../gguf/open-gguf.ts'
import { openHuggingFace } from '../huggingface/open-huggingface.ts'
import type { SourceModel, SourceOptions } from '../source-model.ts'
import { BlobBytes } from './blob-bytes.ts'
import { PickedFolder } from './picked-folder.ts'

/** What picked files turned out to be. */
export interface PickedCheckpoint {
  /** Of the file or the folder; empty where the files do not say. */
  readonly name: string
  open(options: SourceOptions): SourceModel
}

/** Finds the checkpoint among picked files: a folder with config.json and safetensors, or the one `.gguf`. */
export function findCheckpoint(files: readonly PickedFile[]): PickedCheckpoint {
  const folder = safetensorsFolder(files)
  if (folder !== undefined) {
    const name = folder.split('/').at(-2) ?? ''
    return { name, open: (options) => openHuggingFace(new PickedFolder(files, folder), options) }
  }
  const [gguf, another] = files.filter(({ path }) => /\.gguf$/i.test(path))
  if (gguf === undefined) throw nothingFound(files)
  if (another !== undefined)
    throw new ConvertError(`${gguf.path} and ${another.path} are two models; only one can be converted`)
  const { path, blob } = gguf
  return {
    name: path.split('/').at(-1) ?? path,
    open: (options) => openGguf(new BlobBytes(path, blob), options),
  }
}

/** The outermost folder with safetensors files in it; repositories keep other forms of a model below it. */
function safetensorsFolder(files: readonly PickedFile[]): string | undefined {
  const folders = files
    .filter(({ path }) => path.endsWith('.safetensors'))
    .map(({ path }) => path.slice(0, path.lastIndexOf('/') + 1))
  return folders.toSorted((left, right) => left.length - right.length)[0]
}

function nothingFound(files: readonly PickedFile[]): ConvertError {
  const hasConfig = files.some(({ path }) => path.split('/').at(-1) === 'config.json')
  return hasConfig
    ? new ConvertError('the picked folder has no .safetensors file', {
        kind: 'missing',
        file: 'model.safetensors',
      })
    : new ConvertError('none of the picked files is a .gguf or a .safetensors file')
}

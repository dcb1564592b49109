import { assembleDecoder } from '../architectures/assemble.ts'
import { limitContext } from '../architectures/limit-context.ts'
import type { SourceFolder } from '../checkpoint/source-folder.ts'
import { readJson } from '../checkpoint/source-folder.ts'
import type { SourceModel, SourceOptions } from '../source-model.ts'
import { readConfig } from './config.ts'
import { huggingFaceStorage } from './storage.ts'
import { readHuggingFaceTokenizer } from './tokenizer.ts'
import { openWeights } from './weights.ts'

/** The model of a folder with config.json, safetensors and tokenizer files. */
export function openHuggingFace(
  folder: SourceFolder,
  { contextLength, chatTemplate }: SourceOptions,
): SourceModel {
  const { architecture, config } = readConfig(readJson(folder, 'config.json'))
  const limited = limitContext(config, contextLength)
  const tokenizer = readHuggingFaceTokenizer(folder, limited.contextLength, chatTemplate)
  const { tensors, dispose } = openWeights(folder)
  try {
    const spec = assembleDecoder(architecture, limited, tensors, huggingFaceStorage(architecture))
    return { spec, tokenizer, dispose }
  } catch (error) {
    dispose()
    throw error
  }
}

import { join } from 'node:path'
import { assembleDecoder } from './architectures/assemble.ts'
import { limitContext } from './architectures/limit-context.ts'
import { finishConversion } from './finish-conversion.ts'
import type { CheckpointOptions } from './finish-conversion.ts'
import { readConfig } from './huggingface/config.ts'
import { huggingFaceStorage } from './huggingface/storage.ts'
import { readHuggingFaceTokenizer } from './huggingface/tokenizer.ts'
import { openHuggingFace, readJson } from './huggingface/weights.ts'
import { assertWritable } from './model-folder.ts'
import type { ConvertResult } from './write-model.ts'

export interface HuggingFaceOptions extends CheckpointOptions {
  /** A folder with config.json, safetensors and tokenizer files. */
  readonly folder: string
}

/** A Hugging Face folder in, a model folder out. Weights are read one after the other: memory need only hold the largest. */
export async function convertHuggingFace(options: HuggingFaceOptions): Promise<ConvertResult> {
  const { folder, chatTemplate } = options
  assertWritable(options.out, options.force ?? false)
  const { architecture, config } = readConfig(readJson(join(folder, 'config.json')))
  const limited = limitContext(config, options.contextLength)
  const tokenizer = readHuggingFaceTokenizer(folder, limited.contextLength, chatTemplate)
  const checkpoint = openHuggingFace(folder)
  try {
    const storage = huggingFaceStorage(architecture)
    const spec = assembleDecoder(architecture, limited, checkpoint.tensors, storage)
    return await finishConversion(spec, tokenizer, options)
  } finally {
    checkpoint.dispose()
  }
}

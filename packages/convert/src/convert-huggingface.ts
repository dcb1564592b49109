import { finishConversion } from './finish-conversion.ts'
import type { CheckpointOptions } from './finish-conversion.ts'
import { openHuggingFace } from './huggingface/open-huggingface.ts'
import { assertWritable } from './model-folder.ts'
import { DiskFolder } from './node/disk-folder.ts'
import type { ConvertResult } from './write-model.ts'

export interface HuggingFaceOptions extends CheckpointOptions {
  /** A folder with config.json, safetensors and tokenizer files. */
  readonly folder: string
}

/** A Hugging Face folder in, a model folder out. Weights are read one after the other: memory need only hold the largest. */
export async function convertHuggingFace(options: HuggingFaceOptions): Promise<ConvertResult> {
  assertWritable(options.out, options.force ?? false)
  return finishConversion(openHuggingFace(new DiskFolder(options.folder), options), options)
}

import { finishConversion } from './finish-conversion.ts'
import type { CheckpointOptions } from './finish-conversion.ts'
import { openGguf } from './gguf/open-gguf.ts'
import { assertWritable } from './model-folder.ts'
import { FileSource } from './node/file-source.ts'
import type { ConvertResult } from './write-model.ts'

export interface GgufOptions extends CheckpointOptions {
  /** Path of a GGUF file, version 2 or 3. */
  readonly file: string
}

/** A GGUF file in, a model folder out. Weights are read one after the other: memory need only hold the largest. */
export async function convertGguf(options: GgufOptions): Promise<ConvertResult> {
  assertWritable(options.out, options.force ?? false)
  return finishConversion(openGguf(new FileSource(options.file), options), options)
}

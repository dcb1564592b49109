import { assembleDecoder } from './architectures/assemble.ts'
import { limitContext } from './architectures/limit-context.ts'
import { FileSource } from './checkpoint/byte-source.ts'
import { finishConversion } from './finish-conversion.ts'
import type { CheckpointOptions } from './finish-conversion.ts'
import { readGgufConfig } from './gguf/config.ts'
import { readGguf } from './gguf/file.ts'
import { ggufStorage } from './gguf/storage.ts'
import { readGgufTokenizer } from './gguf/tokenizer.ts'
import { assertWritable } from './model-folder.ts'
import type { ConvertResult } from './write-model.ts'

export interface GgufOptions extends CheckpointOptions {
  /** Path of a GGUF file, version 2 or 3. */
  readonly file: string
}

/** A GGUF file in, a model folder out. Weights are read one after the other: memory need only hold the largest. */
export async function convertGguf(options: GgufOptions): Promise<ConvertResult> {
  assertWritable(options.out, options.force ?? false)
  const source = new FileSource(options.file)
  try {
    const gguf = readGguf(source)
    const { architecture, config } = readGgufConfig(gguf)
    const limited = limitContext(config, options.contextLength)
    const tokenizer = readGgufTokenizer(gguf, limited.contextLength, options.chatTemplate)
    const spec = assembleDecoder(architecture, limited, gguf.tensors, ggufStorage(architecture))
    return await finishConversion(spec, tokenizer, options)
  } finally {
    source.dispose()
  }
}

import { assembleDecoder } from '../architectures/assemble.ts'
import { limitContext } from '../architectures/limit-context.ts'
import type { ByteSource } from '../checkpoint/byte-source.ts'
import type { SourceModel, SourceOptions } from '../source-model.ts'
import { readGgufConfig } from './config.ts'
import { readGguf } from './file.ts'
import { ggufStorage } from './storage.ts'
import { readGgufTokenizer } from './tokenizer.ts'

/** The model of a GGUF file, version 2 or 3. Takes the file over, also when it throws. */
export function openGguf(source: ByteSource, { contextLength, chatTemplate }: SourceOptions): SourceModel {
  try {
    const gguf = readGguf(source)
    const { architecture, config } = readGgufConfig(gguf)
    const limited = limitContext(config, contextLength)
    const tokenizer = readGgufTokenizer(gguf, limited.contextLength, chatTemplate)
    const spec = assembleDecoder(architecture, limited, gguf.tensors, ggufStorage(architecture))
    return { spec, tokenizer, dispose: () => source.dispose() }
  } catch (error) {
    source.dispose()
    throw error
  }
}

import { readFile } from 'node:fs/promises'
import { llama2cDecoder } from './architectures/llama2c.ts'
import { readLlama2c } from './checkpoint/llama2c.ts'
import { ConvertError } from './convert-error.ts'
import { assertWritable } from './model-folder.ts'
import { vocabularyTokenizer } from './tokenizer/model-tokenizer.ts'
import { readTokenizer } from './tokenizer/read-tokenizer.ts'
import { writeModel } from './write-model.ts'
import type { ConvertResult, ModelOptions } from './write-model.ts'

export interface Llama2cOptions extends ModelOptions {
  /** Path of a llama2.c checkpoint, version 0, 1 or 2. */
  readonly checkpoint: string
  /** Path of a llama2.c tokenizer.bin or of a SentencePiece .model. */
  readonly tokenizer: string
}

/** A llama2.c checkpoint and its tokenizer in, a model folder out. */
export async function convertLlama2c(options: Llama2cOptions): Promise<ConvertResult> {
  assertWritable(options.out, options.force ?? false)
  const checkpoint = readLlama2c(await readFile(options.checkpoint))
  const vocabulary = readTokenizer(await readFile(options.tokenizer))
  const { vocabSize, contextLength } = checkpoint.header
  if (vocabulary.pieces.length !== vocabSize) {
    throw new ConvertError(
      `the tokenizer has ${vocabulary.pieces.length} tokens, the checkpoint ${vocabSize}`,
    )
  }
  const tokenizer = vocabularyTokenizer(vocabulary, contextLength, options.chatTemplate)
  return writeModel(llama2cDecoder(checkpoint), tokenizer, options)
}

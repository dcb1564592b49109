import { mkdir, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { parameterCount } from '../../../convert/src/graph/decoder-spec.ts'
import { randomDecoder } from '../../../convert/src/random-model.ts'
import type { RandomShape } from '../../../convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../../convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../../convert/src/tokenizer/synthetic.ts'
import { writeModel } from '../../../convert/src/write-model.ts'
import { ggufDecoder } from './gguf-decoder.ts'
import { inQ4Blocks } from './q4-blocks.ts'
import { singleTokens } from './single-tokens.ts'
import { writeTransformersFolder } from './transformers-folder.ts'

const CONTEXT_LENGTH = 2048
const SEED = 7

/**
 * One decoder of random weights for every engine of the benchmark page, the same weights bit for bit: `tabserve/`, `transformers/` (and there rounded to 8 bits too), `model.gguf`,
 * and `model.json`, which says what they are.
 */
export async function writePeerModels(out: string, shape: RandomShape, name: string): Promise<void> {
  await rm(out, { recursive: true, force: true })
  await mkdir(out, { recursive: true })
  const vocabulary = syntheticVocabulary(shape.vocabSize)
  const numSilent = vocabulary.pieces.findIndex(({ kind }) => kind === 'text')
  const spec = inQ4Blocks(randomDecoder(shape, CONTEXT_LENGTH, SEED, true), numSilent)
  const tokenizer = vocabularyTokenizer(vocabulary, CONTEXT_LENGTH)
  await writeModel(spec, tokenizer, {
    out: join(out, 'tabserve'),
    name: 'peers',
    version: '1',
    weights: 'q4',
  })
  await writeTransformersFolder(join(out, 'transformers'), spec, tokenizer)
  await writeFile(join(out, 'model.gguf'), ggufDecoder(spec, vocabulary))
  const described = {
    name,
    parameters: parameterCount(spec),
    words: singleTokens(vocabulary),
  }
  await writeFile(join(out, 'model.json'), JSON.stringify(described))
}

import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { DecoderSpec } from '../graph/decoder-spec.ts'
import type { ModelTokenizer } from '../tokenizer/model-tokenizer.ts'
import type { ModelOptions } from '../write-model.ts'
import { writeModel } from '../write-model.ts'
import { measurePerplexity } from './perplexity.ts'
import { tokenize } from './tokenize.ts'

export interface PerplexityComparison {
  readonly numTokens: number
  readonly converted: number
  /** Of the same weights in fp32: all that the source says. */
  readonly source: number
}

/**
 * Perplexity of a converted folder on a text, and of its source. Both run in Node on the wasm provider, so a model whose fp32
 * weights do not fit into wasm's 4 GB cannot be measured.
 */
export async function compareWithSource(
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
  options: ModelOptions,
  text: string,
): Promise<PerplexityComparison> {
  const tokens = tokenize(tokenizer, text)
  const { numTokens, value: converted } = await measurePerplexity(options.out, tokens)
  if (options.weights === 'fp32') return { numTokens, converted, source: converted }
  const folder = await mkdtemp(join(tmpdir(), 'tabserve-source-'))
  try {
    const out = join(folder, 'fp32')
    await writeModel(spec, tokenizer, { out, name: options.name, version: options.version, weights: 'fp32' })
    return { numTokens, converted, source: (await measurePerplexity(out, tokens)).value }
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

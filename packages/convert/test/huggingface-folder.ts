import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Llama2cCheckpoint } from '../src/checkpoint/llama2c.ts'
import { vocabularyTokenizer } from '../src/tokenizer/model-tokenizer.ts'
import type { Vocabulary } from '../src/tokenizer/pieces.ts'
import { llama2cHuggingFace } from './llama2c-export.ts'
import { safetensorsBytes } from './write-safetensors.ts'
import type { PlainTensor } from './write-safetensors.ts'

/** A llama2.c checkpoint as a Hugging Face folder: config.json, safetensors in one file or in shards, and the tokenizer. */
export async function writeHuggingFaceFolder(
  folder: string,
  checkpoint: Llama2cCheckpoint,
  vocabulary: Vocabulary,
  shards: number,
): Promise<void> {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize, contextLength } = checkpoint.header
  const config = {
    model_type: 'llama',
    hidden_size: dim,
    intermediate_size: hiddenDim,
    num_hidden_layers: layers,
    num_attention_heads: heads,
    num_key_value_heads: kvHeads,
    vocab_size: vocabSize,
    max_position_embeddings: contextLength,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }
  const tokenizer = vocabularyTokenizer(vocabulary, contextLength)
  await writeFile(join(folder, 'tokenizer.json'), tokenizer.json)
  await writeFile(join(folder, 'tokenizer_config.json'), tokenizer.configJson)
  await writeSafetensors(folder, config, llama2cHuggingFace(checkpoint), shards)
}

/** config.json and the weights: `model.safetensors`, or several files with their index. */
export async function writeSafetensors(
  folder: string,
  config: object,
  tensors: ReadonlyMap<string, PlainTensor>,
  shards: number,
): Promise<void> {
  await writeFile(join(folder, 'config.json'), JSON.stringify(config))
  if (shards === 1) return writeFile(join(folder, 'model.safetensors'), safetensorsBytes(tensors))
  const weightMap: Record<string, string> = {}
  for (let shard = 0; shard < shards; shard++) {
    const file = `model-${shard}.safetensors`
    const own = new Map([...tensors].filter((_, index) => index % shards === shard))
    for (const name of own.keys()) weightMap[name] = file
    await writeFile(join(folder, file), safetensorsBytes(own))
  }
  await writeFile(join(folder, 'model.safetensors.index.json'), JSON.stringify({ weight_map: weightMap }))
}

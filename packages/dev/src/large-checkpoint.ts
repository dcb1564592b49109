import { mkdir, open, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { syntheticVocabulary, vocabularyTokenizer } from '@tabserve/convert'

const HIDDEN = 1024
const FEED_FORWARD = 2816
const HEAD = 64
const HEADS = HIDDEN / HEAD
const KV_HEADS = 4
const VOCABULARY = 4096
const CONTEXT = 512
const BLOCK = 2 ** 20

/**
 * A Hugging Face folder of a Llama in bfloat16 with so many layers of 11 million weights, which say nothing: the same noise again and again. Written
 * in a moment, whatever its size. Returns the bytes of its weights.
 */
export async function writeLargeCheckpoint(folder: string, layers: number): Promise<number> {
  const tokenizer = vocabularyTokenizer(syntheticVocabulary(VOCABULARY), CONTEXT)
  await mkdir(folder, { recursive: true })
  await writeFile(join(folder, 'config.json'), JSON.stringify(configOf(layers)))
  await writeFile(join(folder, 'tokenizer.json'), tokenizer.json)
  await writeFile(join(folder, 'tokenizer_config.json'), tokenizer.configJson)
  const header: Record<string, object> = {}
  let offset = 0
  for (const [name, shape] of tensorsOf(layers)) {
    const end = offset + shape.reduce((product, size) => product * size, 2)
    header[name] = { dtype: 'BF16', shape, data_offsets: [offset, end] }
    offset = end
  }
  const json = Buffer.from(JSON.stringify(header))
  const length = Buffer.alloc(8)
  length.writeBigUInt64LE(BigInt(json.length))
  await using file = await open(join(folder, 'model.safetensors'), 'w')
  await file.writeFile(Buffer.concat([length, json]))
  const noise = noiseBlock()
  for (let written = 0; written < offset; written += BLOCK)
    await file.writeFile(noise.subarray(0, Math.min(BLOCK, offset - written)))
  return offset
}

function configOf(layers: number): object {
  return {
    model_type: 'llama',
    hidden_size: HIDDEN,
    intermediate_size: FEED_FORWARD,
    num_hidden_layers: layers,
    num_attention_heads: HEADS,
    num_key_value_heads: KV_HEADS,
    vocab_size: VOCABULARY,
    max_position_embeddings: CONTEXT,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }
}

function* tensorsOf(layers: number): Generator<readonly [name: string, shape: readonly number[]]> {
  yield ['model.embed_tokens.weight', [VOCABULARY, HIDDEN]]
  for (let index = 0; index < layers; index++) {
    const layer = `model.layers.${index}`
    yield [`${layer}.input_layernorm.weight`, [HIDDEN]]
    yield [`${layer}.self_attn.q_proj.weight`, [HIDDEN, HIDDEN]]
    yield [`${layer}.self_attn.k_proj.weight`, [KV_HEADS * HEAD, HIDDEN]]
    yield [`${layer}.self_attn.v_proj.weight`, [KV_HEADS * HEAD, HIDDEN]]
    yield [`${layer}.self_attn.o_proj.weight`, [HIDDEN, HIDDEN]]
    yield [`${layer}.post_attention_layernorm.weight`, [HIDDEN]]
    yield [`${layer}.mlp.gate_proj.weight`, [FEED_FORWARD, HIDDEN]]
    yield [`${layer}.mlp.up_proj.weight`, [FEED_FORWARD, HIDDEN]]
    yield [`${layer}.mlp.down_proj.weight`, [HIDDEN, FEED_FORWARD]]
  }
  yield ['model.norm.weight', [HIDDEN]]
}

/** bfloat16 from −0.06 to 0.06: sign, an exponent of 119 to 122, and a random fraction. */
function noiseBlock(): Buffer {
  const halves = new Uint16Array(BLOCK / 2)
  let state = 1
  for (let i = 0; i < halves.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    const bits = state >>> 8
    halves[i] = ((bits & 1) << 15) | ((119 + ((bits >> 1) & 3)) << 7) | ((bits >> 3) & 127)
  }
  return Buffer.from(halves.buffer)
}

import { mkdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { DecoderSpec } from '../../../convert/src/graph/decoder-spec.ts'
import type { ModelTokenizer } from '../../../convert/src/tokenizer/model-tokenizer.ts'
import { exportForeign } from '../../../../test/foreign/write-foreign.ts'

/**
 * A folder that transformers.js loads: `onnx/model_q4.onnx` in the blocks that the decoder comes in, `onnx/model_int8.onnx` rounded to 8 bits, each with its weights beside it. The
 * graph is one as the library's own exports have it: GroupQueryAttention, and logits of the last token only.
 */
export async function writeTransformersFolder(
  out: string,
  spec: DecoderSpec,
  tokenizer: ModelTokenizer,
): Promise<void> {
  await mkdir(join(out, 'onnx'), { recursive: true })
  for (const weights of ['q4', 'int8'] as const) {
    const file = `model_${weights}.onnx`
    const { graph, externalData } = exportForeign(spec, {
      style: 'genai',
      dtype: 'float32',
      positions: 'counted',
      logits: 'kept',
      inline: false,
      externalData: `${file}_data`,
      weights,
    })
    await writeFile(join(out, 'onnx', file), graph)
    await writeFile(join(out, 'onnx', `${file}_data`), externalData)
  }
  await writeFile(join(out, 'config.json'), JSON.stringify(configOf(spec)))
  await writeFile(
    join(out, 'generation_config.json'),
    JSON.stringify({ eos_token_id: tokenizer.eosTokenIds }),
  )
  await writeFile(join(out, 'tokenizer.json'), tokenizer.json)
  await writeFile(join(out, 'tokenizer_config.json'), tokenizer.configJson)
}

function configOf(spec: DecoderSpec) {
  return {
    model_type: 'llama',
    architectures: ['LlamaForCausalLM'],
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.layers[0]?.gate.rows,
    num_hidden_layers: spec.layers.length,
    num_attention_heads: spec.heads,
    num_key_value_heads: spec.kvHeads,
    head_dim: spec.headDim,
    vocab_size: spec.vocabSize,
    max_position_embeddings: spec.contextLength,
    rms_norm_eps: spec.normEpsilon,
  }
}

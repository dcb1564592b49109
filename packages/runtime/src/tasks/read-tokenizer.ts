import type { TokenizerSpec } from '@tabserve/protocol'
import type { ModelFiles } from '../models/model-files.ts'
import { Tokenizer } from '../tokenizer.ts'

/** A model's tokenizer, also with a chat template in a file of its own. Throws `bad_model`, and as files do. */
export async function readTokenizer(files: ModelFiles, spec: TokenizerSpec): Promise<Tokenizer> {
  const [json, config] = [await files.bytes(spec.file), await files.bytes(spec.config)]
  const template = spec.chatTemplate === undefined ? undefined : await files.bytes(spec.chatTemplate)
  return new Tokenizer(json, config, spec, template)
}

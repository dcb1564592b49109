import { ConvertError } from '../convert-error.ts'
import type { Architecture } from './architecture.ts'
import { gemma2, gemma3 } from './gemma.ts'
import { llama } from './llama.ts'
import { mistral } from './mistral.ts'
import { qwen2 } from './qwen2.ts'
import { qwen3 } from './qwen3.ts'

/** By `model_type` of config.json and `general.architecture` of GGUF. */
const ARCHITECTURES: Readonly<Record<string, Architecture>> = {
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  gemma3_text: gemma3,
}

export function architectureOf(name: unknown): Architecture {
  const found =
    typeof name === 'string' && Object.hasOwn(ARCHITECTURES, name) ? ARCHITECTURES[name] : undefined
  if (found !== undefined) return found
  throw new ConvertError(
    `the architecture ${JSON.stringify(name)} is not one that can be converted: ${Object.keys(ARCHITECTURES).join(', ')}`,
  )
}

import { EngineError } from '@tabserve/protocol'
import type { ConvertError } from '@tabserve/convert/browser'

/**
 * What was picked and cannot be converted, and what to do: `model_not_found` where a file is missing, else `bad_model`, for one that is cut off or
 * a model of a kind that we do not know.
 */
export function conversionError({ message, fault }: ConvertError): EngineError {
  const said = `${message.slice(0, 1).toUpperCase()}${message.slice(1)}. ${ADVICE[fault?.kind ?? 'unsupported']}`
  const code = fault?.kind === 'missing' ? 'model_not_found' : 'bad_model'
  return new EngineError(code, said, fault === undefined ? {} : { file: fault.file })
}

const ADVICE = {
  missing:
    'Pick one .gguf file, or the whole folder: config.json, the .safetensors files with their index, and the tokenizer.',
  damaged: 'Nothing was kept. Download the file again.',
  unsupported:
    'Nothing was kept. Pick another .gguf file or model folder, or one that is a tabserve model already.',
} as const

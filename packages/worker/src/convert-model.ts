import { checkNumber, checkOneOf, checkString, refusal } from '@tabserve/engine'
import type { ConvertRequest, LoadProgress, StoredModel } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelRepository } from '@tabserve/runtime'
import { importScript } from '@tabserve/runtime'
import { conversionError } from './conversion-error.ts'

/** A file of its own, which only who converts fetches. */
type Converter = typeof import('@tabserve/convert/browser')

/** Makes a model of picked files in the weight store, with the converter at that address. Throws what `conversionError` makes of what was picked, `bad_request`, `storage` or `aborted`. */
export async function convertModel(
  repository: ModelRepository,
  converter: string,
  request: ConvertRequest,
  onProgress: (progress: LoadProgress) => void,
  signal: AbortSignal,
): Promise<StoredModel> {
  const options = checkedOptions(request)
  const { ConvertError, convertPicked } = (await importScript(
    'The converter',
    'converter',
    converter,
  )) as Converter
  return repository.make({ signal, onProgress }, async (draft) => {
    try {
      await convertPicked(request.files, options, draft, (file, loadedBytes, totalBytes) =>
        onProgress({ type: 'load-progress', phase: 'convert', file, loadedBytes, totalBytes }),
      )
    } catch (error) {
      throw error instanceof ConvertError ? conversionError(error) : error
    }
  })
}

/** Throws `bad_request`. */
function checkedOptions({ files, ...given }: ConvertRequest) {
  if (files.some(({ path }) => path === 'manifest.json' || path.endsWith('/manifest.json')))
    throw new EngineError(
      'bad_request',
      'The picked files are a model folder already: load them as they are.',
    )
  const contextLength = checkNumber(
    'contextLength',
    given.contextLength,
    'a whole number from 1',
    (value) => Number.isSafeInteger(value) && value >= 1,
  )
  return {
    version: checkName('version', given.version) ?? '1',
    weights: checkOneOf('weights', given.weights, ['q4', 'int8', 'fp16', 'fp32']) ?? 'q4',
    ...defined('name', checkName('name', given.name)),
    ...defined('contextLength', contextLength),
    ...defined('chatTemplate', checkString('chatTemplate', given.chatTemplate)),
    ...defined('license', checkString('license', given.license)),
    ...defined('description', checkString('description', given.description)),
  }
}

function checkName(option: string, value: unknown): string | undefined {
  const name = checkString(option, value)
  if (name === undefined || /^[\w.-]+$/.test(name)) return name
  throw refusal(option, name, 'made of letters, digits, ".", "_" and "-"')
}

function defined<const Key extends string, Value>(
  key: Key,
  value: Value | undefined,
): { readonly [key in Key]?: Value } {
  return value === undefined ? {} : ({ [key]: value } as { readonly [key in Key]?: Value })
}

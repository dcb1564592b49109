import { EngineError, isRecord } from '@tabserve/protocol'
import type { TaskModel } from '../task-model.ts'

/** How an encoder-decoder answers: `generation_config.json`, then `config.json`, then the manifest's `options`, which count first. */
export interface GenerationRules {
  /** The answer's beginning, which is given: start token, language, task, no timestamps. */
  prompt(language: string | undefined): readonly number[]
  readonly eosTokenIds: ReadonlySet<number>
  /** Never said. */
  readonly suppressed: ReadonlySet<number>
  /** Not said first. */
  readonly suppressedFirst: ReadonlySet<number>
  readonly maxLength: number
}

/** Throws `bad_model`. */
export async function readGenerationRules(model: TaskModel): Promise<GenerationRules> {
  const said = {
    ...(await model.json('config.json')),
    ...(await model.json('generation_config.json')),
    ...model.options,
  } as Json
  const start = said['decoder_start_token_id']
  if (typeof start !== 'number')
    throw new EngineError('bad_model', 'generation_config.json or options must say decoder_start_token_id.')
  return {
    prompt: (language) => [start, ...forced(said, language)],
    eosTokenIds: new Set(numbers(said['eos_token_id'])),
    suppressed: new Set(numbers(said['suppress_tokens'])),
    suppressedFirst: new Set(numbers(said['begin_suppress_tokens'])),
    maxLength: numbers(said['max_length'])[0] ?? DEFAULT_LENGTH,
  }
}

type Json = Readonly<Record<string, unknown>>

const DEFAULT_LENGTH = 448

/** Whisper's: language and task of a multilingual model, and that no timestamps are wanted. */
function forced(said: Json, language: string | undefined): readonly number[] {
  const { lang_to_id: languages, task_to_id: tasks, no_timestamps_token_id: noTimestamps } = said
  if (!isRecord(languages)) {
    if (language !== undefined)
      throw new EngineError('bad_request', 'This model knows one language: leave `language` out.', {
        param: 'language',
      })
    return forcedPairs(said['forced_decoder_ids'])
  }
  const token = languages[`<|${language ?? 'en'}|>`]
  if (typeof token !== 'number')
    throw new EngineError('bad_request', `This model does not know the language ${language}.`, {
      param: 'language',
    })
  return [token, ...numbers(isRecord(tasks) ? tasks['transcribe'] : undefined), ...numbers(noTimestamps)]
}

/** `[[1, token], …]`: what is said at a place. */
function forcedPairs(pairs: unknown): readonly number[] {
  if (!Array.isArray(pairs)) return []
  return pairs.flatMap((pair: unknown) =>
    Array.isArray(pair) && typeof pair[1] === 'number' ? [pair[1]] : [],
  )
}

function numbers(value: unknown): readonly number[] {
  return [value].flat().filter((each) => typeof each === 'number')
}

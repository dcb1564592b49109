import type { SamplingParams } from '@tabserve/protocol'
import { EngineError, GENERATE_OPTIONS } from '@tabserve/protocol'
import { checkBoolean, checkNumber, isList, refusal } from './check-option.ts'

/** How the next token is chosen and when to stop, every option checked and filled in. `SamplingParams` says what each means. */
export interface Sampling {
  /** `undefined`: as many as the context has room for. */
  readonly maxTokens: number | undefined
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
  readonly presencePenalty: number
  readonly frequencyPenalty: number
  /** Token id → what is added to its logit. */
  readonly logitBias: ReadonlyMap<number, number>
  readonly stop: readonly string[]
  readonly stopTokenIds: readonly number[]
  readonly minTokens: number
  /** `undefined`: all. */
  readonly allowedTokenIds: readonly number[] | undefined
  readonly ignoreEos: boolean
  /** `undefined`: whoever makes the random stream chooses one. */
  readonly seed: number | undefined
  /** `undefined`: no log-probabilities; 0: of the chosen token only. */
  readonly logprobs: number | undefined
  readonly promptLogprobs: number | undefined
}

const MAX_STOP_STRINGS = 16
const MAX_LOGPROBS = 20

/** Takes a request's sampling options apart. Throws `bad_request` that names the first wrong option, its value and what is allowed. */
export function resolveSampling(request: SamplingParams, vocabSize: number): Sampling {
  const number = (option: NumberOption, allowed: string, isAllowed: (value: number) => boolean) =>
    checkNumber(option, request[option], allowed, isAllowed)
  const within = (min: number, max: number) => (value: number) => value >= min && value <= max
  const whole = (min: number, max: number) => (value: number) =>
    Number.isSafeInteger(value) && value >= min && value <= max
  const maxSafe = Number.MAX_SAFE_INTEGER
  const logprobs = `a whole number from 0 to ${MAX_LOGPROBS}`
  return {
    maxTokens: number('maxTokens', 'a whole number of at least 0', whole(0, maxSafe)),
    temperature: number('temperature', 'a number of at least 0', within(0, Infinity)) ?? 1,
    topK: number('topK', 'a whole number of at least 0 (0 keeps all)', whole(0, maxSafe)) ?? 0,
    topP: number('topP', 'a number above 0 and at most 1', (value) => value > 0 && value <= 1) ?? 1,
    minP: number('minP', 'a number from 0 to 1', within(0, 1)) ?? 0,
    repetitionPenalty: number('repetitionPenalty', 'a number above 0', (value) => value > 0) ?? 1,
    presencePenalty: number('presencePenalty', 'a number from -2 to 2', within(-2, 2)) ?? 0,
    frequencyPenalty: number('frequencyPenalty', 'a number from -2 to 2', within(-2, 2)) ?? 0,
    logitBias: resolveLogitBias(request.logitBias, vocabSize),
    stop: resolveStop(request.stop),
    stopTokenIds: resolveTokenIds('stopTokenIds', request.stopTokenIds, vocabSize) ?? [],
    minTokens: number('minTokens', 'a whole number of at least 0', whole(0, maxSafe)) ?? 0,
    allowedTokenIds: resolveAllowed(request.allowedTokenIds, vocabSize),
    ignoreEos: checkBoolean('ignoreEos', request.ignoreEos) ?? false,
    seed: number('seed', 'a whole number that JavaScript holds exactly', whole(-maxSafe, maxSafe)),
    logprobs: number('logprobs', logprobs, whole(0, MAX_LOGPROBS)),
    promptLogprobs: number('promptLogprobs', logprobs, whole(0, MAX_LOGPROBS)),
  }
}

/** Throws `bad_request` for the first key that no request has: a misspelt option must not be ignored in silence. */
export function refuseUnknownOptions(request: object): void {
  for (const [key, value] of Object.entries(request)) {
    if (value === undefined || Object.hasOwn(GENERATE_OPTIONS, key)) continue
    const known = Object.keys(GENERATE_OPTIONS)
    const closest = closestName(key, known)
    const hint = closest === undefined ? `Known options: ${known.join(', ')}.` : `Did you mean ${closest}?`
    throw new EngineError('bad_request', `${key} is not an option of a request. ${hint}`)
  }
}

type NumberOption = {
  [Key in keyof SamplingParams]-?: SamplingParams[Key] extends number | undefined ? Key : never
}[keyof SamplingParams]

function resolveStop(value: unknown): readonly string[] {
  if (value === undefined) return []
  const stop: unknown = typeof value === 'string' ? [value] : value
  const allowed = `a string or a list of at most ${MAX_STOP_STRINGS} strings, none of them empty`
  if (!isList(stop) || stop.length > MAX_STOP_STRINGS || !stop.every(isNonEmptyString)) {
    throw refusal('stop', value, allowed)
  }
  return [...stop]
}

function resolveTokenIds(option: string, value: unknown, vocabSize: number): readonly number[] | undefined {
  if (value === undefined) return undefined
  const allowed = `whole numbers from 0 to ${vocabSize - 1}`
  if (!isList(value)) throw refusal(option, value, `a list of ${allowed}`)
  const isToken = (token: unknown): token is number => isTokenId(token, vocabSize)
  if (value.every(isToken)) return [...value]
  const wrong = value.findIndex((token) => !isToken(token))
  throw refusal(`${option}[${wrong}]`, value[wrong], `one of the ${allowed}`)
}

function resolveAllowed(value: unknown, vocabSize: number): readonly number[] | undefined {
  const allowed = resolveTokenIds('allowedTokenIds', value, vocabSize)
  if (allowed?.length === 0) throw refusal('allowedTokenIds', value, 'a list of at least one token id')
  return allowed
}

function resolveLogitBias(value: unknown, vocabSize: number): ReadonlyMap<number, number> {
  const bias = new Map<number, number>()
  if (value === undefined) return bias
  // A Map survives structuredClone and has no entries of its own: it would be ignored in silence.
  if (typeof value !== 'object' || value === null || isList(value) || value instanceof Map) {
    throw refusal('logitBias', value, 'an object from token id to number')
  }
  for (const [key, amount] of Object.entries(value)) {
    const token = Number(key)
    if (String(token) !== key || !isTokenId(token, vocabSize)) {
      throw refusal('A key of logitBias', key, `a token id, a whole number from 0 to ${vocabSize - 1}`)
    }
    if (!isFiniteNumber(amount)) throw refusal(`logitBias[${key}]`, amount, 'a finite number')
    bias.set(token, amount)
  }
  return bias
}

function isNonEmptyString(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isFiniteNumber(value: unknown): value is number {
  return typeof value === 'number' && Number.isFinite(value)
}

function isTokenId(value: unknown, vocabSize: number): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) < vocabSize
}

/** The name that is nearest, if fewer than half of its letters are wrong; other people's spellings (`max_tokens`) are no mistake. */
function closestName(name: string, known: readonly string[]): string | undefined {
  const bare = (text: string) => text.toLowerCase().replace(/[^a-z0-9]/g, '')
  const ranked = known
    .map((candidate) => ({ candidate, distance: editDistance(bare(name), bare(candidate)) }))
    .filter(({ candidate, distance }) => distance < candidate.length / 2)
    .sort((left, right) => left.distance - right.distance)
  return ranked[0]?.candidate
}

/** Levenshtein's distance, one row at a time. */
function editDistance(left: string, right: string): number {
  let row = Array.from({ length: right.length + 1 }, (_, index) => index)
  for (let i = 1; i <= left.length; i++) {
    const next = [i]
    for (let j = 1; j <= right.length; j++) {
      const replace = row[j - 1]! + (left[i - 1] === right[j - 1] ? 0 : 1)
      next.push(Math.min(replace, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[right.length]!
}

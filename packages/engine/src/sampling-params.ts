import type { SamplingParams } from '@tabserve/protocol'
import { EngineError, GENERATE_OPTIONS } from '@tabserve/protocol'

/** Sampling parameters with every default filled in and every value checked. */
export interface Sampling {
  readonly maxTokens: number | undefined
  readonly temperature: number
  readonly topK: number
  readonly topP: number
  readonly minP: number
  readonly repetitionPenalty: number
  readonly presencePenalty: number
  readonly frequencyPenalty: number
  readonly logitBias: readonly (readonly [token: number, bias: number])[]
  readonly stop: readonly string[]
  readonly stopTokenIds: readonly number[]
  readonly ignoreEos: boolean
  readonly seed: number | undefined
  readonly logprobs: number | undefined
}

const MAX_STOPS = 16
const MAX_LOGPROBS = 20

/** Takes a request's parameters apart. Throws `bad_request` with the option, its value and what is allowed. */
export function resolveSampling(request: SamplingParams, vocabSize: number): Sampling {
  const isToken = (value: unknown) => isWhole(value, 0, vocabSize - 1)
  const tokenRule = `a token id from 0 to ${vocabSize - 1}`
  const { maxTokens, seed, logprobs, ignoreEos = false, stopTokenIds = [] } = request
  check('maxTokens', maxTokens ?? 1, isWhole(maxTokens ?? 1, 1), 'a whole number of at least 1')
  check('seed', seed ?? 0, Number.isSafeInteger(seed ?? 0), 'a whole number')
  check(
    'logprobs',
    logprobs ?? 0,
    isWhole(logprobs ?? 0, 0, MAX_LOGPROBS),
    `a whole number from 0 to ${MAX_LOGPROBS}`,
  )
  check('ignoreEos', ignoreEos, typeof ignoreEos === 'boolean', 'true or false')
  check(
    'stopTokenIds',
    stopTokenIds,
    Array.isArray(stopTokenIds) && stopTokenIds.every(isToken),
    `a list, each ${tokenRule}`,
  )
  const topK = request.topK ?? 0
  check('topK', topK, isWhole(topK, 0), 'a whole number; 0 keeps every token')
  return {
    maxTokens,
    seed,
    logprobs,
    ignoreEos,
    stopTokenIds,
    topK,
    temperature: number('temperature', request.temperature ?? 1, 'from 0', (value) => value >= 0),
    topP: number('topP', request.topP ?? 1, 'above 0, at most 1', (value) => value > 0 && value <= 1),
    minP: number('minP', request.minP ?? 0, 'from 0 to 1', (value) => value >= 0 && value <= 1),
    repetitionPenalty: number(
      'repetitionPenalty',
      request.repetitionPenalty ?? 1,
      'above 0',
      (value) => value > 0,
    ),
    presencePenalty: number('presencePenalty', request.presencePenalty ?? 0, 'from -2 to 2', isPenalty),
    frequencyPenalty: number('frequencyPenalty', request.frequencyPenalty ?? 0, 'from -2 to 2', isPenalty),
    logitBias: biases(request.logitBias ?? {}, isToken, tokenRule),
    stop: stops(request.stop ?? []),
  }
}

/** Throws `bad_request` when a request has an option that we do not know. `undefined` counts as absent. */
export function refuseUnknownOptions(request: object): void {
  for (const [name, value] of Object.entries(request)) {
    if (value === undefined || name in GENERATE_OPTIONS) continue
    const bare = (text: string) => text.replaceAll(/[^a-z]/gi, '').toLowerCase()
    const meant = Object.keys(GENERATE_OPTIONS).find((known) => bare(known) === bare(name))
    const advice =
      meant === undefined
        ? `Known are: ${Object.keys(GENERATE_OPTIONS).join(', ')}.`
        : `Did you mean ${meant}?`
    throw new EngineError('bad_request', `generate has no option ${name}. ${advice}`)
  }
}

function stops(stop: string | readonly string[]): readonly string[] {
  const list = typeof stop === 'string' ? [stop] : stop
  const fits =
    Array.isArray(list) &&
    list.length <= MAX_STOPS &&
    list.every((text) => typeof text === 'string' && text !== '')
  check('stop', stop, fits, `a string or at most ${MAX_STOPS} of them, none empty`)
  return list
}

function biases(logitBias: unknown, isToken: (value: unknown) => boolean, rule: string): [number, number][] {
  check(
    'logitBias',
    logitBias,
    typeof logitBias === 'object' && logitBias !== null,
    'an object from token ids to numbers',
  )
  const entries = Object.entries(logitBias as object).map(([token, bias]): [number, unknown] => [
    Number(token),
    bias,
  ])
  for (const [token, bias] of entries) {
    check('logitBias', token, isToken(token), `keyed by ${rule}`)
    check(`logitBias of ${token}`, bias, typeof bias === 'number' && Number.isFinite(bias), 'a finite number')
  }
  return entries as [number, number][]
}

function number(name: string, value: unknown, range: string, fits: (value: number) => boolean): number {
  check(name, value, typeof value === 'number' && Number.isFinite(value) && fits(value), `a number ${range}`)
  return value as number
}

function check(name: string, value: unknown, fits: boolean, rule: string): void {
  if (!fits)
    throw new EngineError(
      'bad_request',
      `${name} is ${JSON.stringify(value) ?? String(value)}; it must be ${rule}.`,
    )
}

function isPenalty(value: number): boolean {
  return value >= -2 && value <= 2
}

function isWhole(value: unknown, least: number, most = Number.MAX_SAFE_INTEGER): boolean {
  return Number.isSafeInteger(value) && (value as number) >= least && (value as number) <= most
}

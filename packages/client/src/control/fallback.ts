import type { ErrorCode, GenerateRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { FallbackCondition } from './served-by.ts'

/** A server that an alias may ask. Prompts leave the device for it: so there is none unless it is named, and it is asked on these conditions only. */
export interface FallbackOptions {
  /**
   * `openai`: anything that speaks OpenAI's API, as vLLM does; `url` is what comes before `/chat/completions`, e.g. `https://host/v1`.
   * `kserve`: a KServe v2 endpoint with the generate extension, as Triton; `url` is what comes before `/v2`. It takes prompts, not `messages`.
   */
  readonly protocol: 'openai' | 'kserve'
  /** Absolute. */
  readonly url: string
  /** What the server calls the model. */
  readonly model: string
  /** When it is asked. Default: on each condition. */
  readonly on?: readonly FallbackCondition[]
  /** Sent along, e.g. `authorization`; a function is asked before every request. */
  readonly headers?: RemoteHeaders | (() => RemoteHeaders | Promise<RemoteHeaders>)
  /** Put into every request's body, over what we put there. */
  readonly extraBody?: Readonly<Record<string, unknown>>
}

export type RemoteHeaders = Readonly<Record<string, string>>

const CONDITIONS: readonly FallbackCondition[] = ['unsupported_device', 'model_too_large', 'overload']

/** Options that mean tokens of the local model's vocabulary, or what only it can tell: no other model can do as they say. */
const LOCAL_ONLY: readonly (keyof GenerateRequest)[] = [
  'promptTokens',
  'stopTokenIds',
  'allowedTokenIds',
  'logitBias',
  'logprobs',
  'promptLogprobs',
  'structuredOutputs',
]

/** Failures of a load that tell of the device. */
const DEVICE_FAILURES: ReadonlySet<ErrorCode> = new Set(['backend_failed', 'engine_lost', 'device_lost'])

/**
 * The condition on which a request that failed here goes to the server, or `undefined`: it stays failed.
 * @param error what it failed with, before its first token. @param loadFailure why its version is not loaded, if that was tried.
 */
export function fallbackCondition(
  { protocol, on = CONDITIONS }: FallbackOptions,
  request: GenerateRequest,
  error: EngineError,
  loadFailure: EngineError | undefined,
): FallbackCondition | undefined {
  const condition = conditionOf(error, loadFailure)
  if (condition === undefined || !on.includes(condition)) return undefined
  if (LOCAL_ONLY.some((option) => request[option] !== undefined)) return undefined
  if (protocol === 'kserve' && (request.messages !== undefined || (request.n ?? 1) > 1)) return undefined
  return condition
}

function conditionOf(
  error: EngineError,
  loadFailure: EngineError | undefined,
): FallbackCondition | undefined {
  if (error.code === 'queue_full') return 'overload'
  if (error.code !== 'model_not_loaded' && error.code !== 'engine_lost') return undefined
  if (loadFailure?.code === 'memory') return 'model_too_large'
  // A load that was stopped, or whose files did not come, says nothing about the device.
  const isOfDevice = loadFailure !== undefined && DEVICE_FAILURES.has(loadFailure.code)
  return isOfDevice ? 'unsupported_device' : undefined
}

/** Throws `bad_request`. */
export function checkFallback({
  protocol,
  url,
  model,
  on = [],
  headers: _headers,
  extraBody: _extraBody,
  ...unknown
}: FallbackOptions): void {
  const bad = (problem: string) => new EngineError('bad_request', `fallback: ${problem}.`)
  const [option] = Object.keys(unknown)
  if (option !== undefined) throw bad(`there is no option ${option}`)
  if (protocol !== 'openai' && protocol !== 'kserve')
    throw bad(`protocol ${String(protocol)} is not one of: openai, kserve`)
  if (!URL.canParse(url)) throw bad(`url ${JSON.stringify(url)} must be an absolute address`)
  if (typeof model !== 'string' || model === '') throw bad('model must say what the server calls the model')
  const wrong = on.find((condition) => !CONDITIONS.includes(condition))
  if (wrong !== undefined) throw bad(`on: ${wrong} is not one of: ${CONDITIONS.join(', ')}`)
}

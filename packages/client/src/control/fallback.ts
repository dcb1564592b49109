import type { ErrorCode, FallbackCondition, GenerateRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'

/** A server that an alias may ask. Prompts leave the device for it: so there is none unless it is named, and it is asked on these conditions only. */
export interface FallbackOptions {
  /**
   * `openai`: anything that speaks OpenAI's API, as vLLM does; `url` is what comes before `/chat/completions`, e.g. `https://host/v1`.
   * `kserve`: a KServe v2 endpoint with the generate extension, as Triton; `url` is what comes before `/v2`. It takes prompts, not `messages`, for one answer, with one stop string.
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

/** Headers by their names. */
export type RemoteHeaders = Readonly<Record<string, string>>

const CONDITIONS: readonly FallbackCondition[] = ['unsupported_device', 'model_too_large', 'overload']

/**
 * Whether a server can do as an option says, or does not need to. Not those that mean tokens of the local model's vocabulary, ask for what only it
 * can tell, or hold the answer to a form that a server would pass over. The compiler checks that none is missing.
 */
const CAN_TRAVEL: Readonly<Record<keyof GenerateRequest, boolean>> = {
  task: true,
  model: true,
  prompt: true,
  promptTokens: false,
  messages: true,
  n: true,
  structuredOutputs: false,
  tools: true,
  toolChoice: true,
  parallelToolCalls: true,
  separateReasoning: true,
  templateOptions: true,
  resume: false,
  session: false,
  requestId: true,
  traceparent: true,
  priority: true,
  preempt: true,
  admission: true,
  queueTimeoutMs: true,
  timeoutMs: true,
  contextOverflow: true,
  cacheSalt: true,
  readPrefixCache: true,
  maxTokens: true,
  temperature: true,
  topK: true,
  topP: true,
  minP: true,
  repetitionPenalty: true,
  presencePenalty: true,
  frequencyPenalty: true,
  logitBias: false,
  stop: true,
  stopTokenIds: false,
  minTokens: true,
  allowedTokenIds: false,
  ignoreEos: true,
  seed: true,
  logprobs: false,
  promptLogprobs: false,
}

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
  // What is no option at all was refused, or will be: it does not go there either.
  const asked = Object.entries(request).filter(([, value]) => value !== undefined)
  if (!asked.every(([option]) => CAN_TRAVEL[option as keyof GenerateRequest])) return undefined
  if (protocol === 'kserve' && !isForKserve(request)) return undefined
  return condition
}

/** The generate extension takes one text, and parameters that are no lists. */
function isForKserve({ messages, n = 1, stop }: GenerateRequest): boolean {
  return messages === undefined && n <= 1 && !(Array.isArray(stop) && stop.length > 1)
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

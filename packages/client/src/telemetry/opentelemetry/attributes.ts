import type { Attributes } from '@opentelemetry/api'
import type { InferEndEvent, InferStartEvent, RequestEndEvent, RequestStartEvent } from '@tabserve/protocol'
import { ATTRIBUTE, OPERATIONS } from './semantic-conventions.ts'

const PROVIDER = 'tabserve'

/** What is known of a request when it begins. */
export function startAttributes({ id, model, priority, params, input }: RequestStartEvent): Attributes {
  return defined({
    [ATTRIBUTE.operation]: params.operation,
    [ATTRIBUTE.provider]: PROVIDER,
    [ATTRIBUTE.requestModel]: model,
    [ATTRIBUTE.responseId]: id,
    [ATTRIBUTE.maxTokens]: params.maxTokens,
    [ATTRIBUTE.temperature]: params.temperature,
    [ATTRIBUTE.topP]: params.topP,
    [ATTRIBUTE.topK]: params.topK,
    [ATTRIBUTE.seed]: params.seed,
    [ATTRIBUTE.choiceCount]: params.n === 1 ? undefined : params.n,
    [ATTRIBUTE.stop]: params.stop === undefined ? undefined : [...params.stop],
    [ATTRIBUTE.frequencyPenalty]: params.frequencyPenalty,
    [ATTRIBUTE.presencePenalty]: params.presencePenalty,
    [ATTRIBUTE.stream]: true,
    [ATTRIBUTE.outputType]: 'text',
    [ATTRIBUTE.priority]: priority,
    [ATTRIBUTE.inputMessages]: input === undefined ? undefined : inputMessages(input),
  })
}

/** What its end adds. */
export function endAttributes(event: RequestEndEvent): Attributes {
  const { usage, work, alias, finishReasons, error, output } = event
  const { name, version } = nameOf(event)
  return defined({
    [ATTRIBUTE.responseModel]: name,
    [ATTRIBUTE.modelVersion]: version,
    [ATTRIBUTE.alias]: alias,
    [ATTRIBUTE.finishReasons]: finishReasons.length === 0 ? undefined : [...finishReasons],
    [ATTRIBUTE.inputTokens]: usage.promptTokens,
    [ATTRIBUTE.outputTokens]: usage.completionTokens,
    [ATTRIBUTE.cachedTokens]: usage.cachedTokens,
    [ATTRIBUTE.firstChunk]: secondsBetween(event.arrivalMs, event.firstDeltaMs),
    [ATTRIBUTE.preemptions]: work?.preemptions,
    [ATTRIBUTE.draftTokens]: work?.draftTokens,
    [ATTRIBUTE.acceptedTokens]: work?.acceptedTokens,
    [ATTRIBUTE.errorType]: error,
    [ATTRIBUTE.outputMessages]: output === undefined ? undefined : outputMessages(output, finishReasons),
  })
}

/** What a one-shot request asks for. */
export function oneShotOperation({ handler, task }: Pick<InferStartEvent, 'handler' | 'task'>): string {
  const name = task === 'infer' ? task : (handler ?? task)
  return Object.hasOwn(OPERATIONS, name) ? (OPERATIONS[name] ?? name) : name
}

/** Tensors and the like are no messages: of content the conventions have no attribute. */
export function oneShotStartAttributes(event: InferStartEvent): Attributes {
  return {
    [ATTRIBUTE.operation]: oneShotOperation(event),
    [ATTRIBUTE.provider]: PROVIDER,
    [ATTRIBUTE.requestModel]: event.asked,
    [ATTRIBUTE.responseId]: event.id,
    [ATTRIBUTE.priority]: event.priority,
  }
}

export function oneShotEndAttributes(event: InferEndEvent): Attributes {
  const { name, version } = nameOf({ ...event, servedBy: 'local' })
  return defined({
    [ATTRIBUTE.responseModel]: name,
    [ATTRIBUTE.modelVersion]: version,
    [ATTRIBUTE.alias]: event.alias,
    [ATTRIBUTE.batchSize]: event.error === undefined ? event.batchSize : undefined,
    [ATTRIBUTE.isCached]: event.error === undefined ? event.isCached : undefined,
    [ATTRIBUTE.errorType]: event.error,
  })
}

type Answered = Pick<RequestEndEvent, 'asked' | 'model' | 'servedBy' | 'error'>

/** What metrics are told apart by. */
export function metricAttributes(operation: string, event: Answered): Attributes {
  const { name, version } = nameOf(event)
  return defined({
    [ATTRIBUTE.operation]: operation,
    [ATTRIBUTE.provider]: PROVIDER,
    [ATTRIBUTE.requestModel]: event.asked,
    [ATTRIBUTE.responseModel]: name,
    [ATTRIBUTE.modelVersion]: version,
    [ATTRIBUTE.errorType]: event.error,
  })
}

/** `undefined` where one of the two did not come. */
export function secondsBetween(fromMs: number | undefined, toMs: number | undefined): number | undefined {
  return fromMs === undefined || toMs === undefined ? undefined : Math.max(0, toMs - fromMs) / 1000
}

/** A server's models have no version that we know of. */
function nameOf({ model, servedBy }: Pick<Answered, 'model' | 'servedBy'>): {
  name: string
  version: string | undefined
} {
  const at = servedBy === 'local' ? model.lastIndexOf('@') : -1
  return at < 0
    ? { name: model, version: undefined }
    : { name: model.slice(0, at), version: model.slice(at + 1) }
}

function inputMessages(input: NonNullable<RequestStartEvent['input']>): string {
  const messages = typeof input === 'string' ? [{ role: 'user', content: input }] : input
  return JSON.stringify(messages.map(({ role, content }) => ({ role, parts: [part(content)] })))
}

function outputMessages(output: readonly string[], finishReasons: readonly string[]): string {
  return JSON.stringify(
    output.map((text, index) => ({
      role: 'assistant',
      parts: [part(text)],
      finish_reason: finishReasons[index] ?? 'error',
    })),
  )
}

function part(content: unknown): { type: string; content: unknown } {
  return { type: 'text', content }
}

function defined(attributes: Attributes): Attributes {
  return Object.fromEntries(Object.entries(attributes).filter(([, value]) => value !== undefined))
}

import type {
  LanguageModelV4,
  LanguageModelV4CallOptions,
  LanguageModelV4GenerateResult,
  LanguageModelV4StreamPart,
  LanguageModelV4StreamResult,
} from '@ai-sdk/provider'
import type { AnswerEvent } from '../answer-stream.ts'
import { answerEvents, begun, wholeAnswer } from '../answer-stream.ts'
import { newIdentity } from '../openai/identity.ts'
import type { ServedClient } from '../served-client.ts'
import { readCall } from './call-options.ts'
import { contentOf } from './content.ts'
import { finishOf, usageOf } from './finish.ts'
import { PartWriter } from './part-writer.ts'

/** A loaded model as the AI SDK calls it. Rejects with `EngineError`, and with the signal's reason when that has ended the call. */
export class TabserveLanguageModel implements LanguageModelV4 {
  readonly specificationVersion = 'v4'
  readonly provider = 'tabserve'
  readonly modelId: string
  /** Addresses that the model itself could fetch: none. */
  readonly supportedUrls = {}
  readonly #client: Pick<ServedClient, 'generate'>

  constructor(client: Pick<ServedClient, 'generate'>, modelId: string) {
    this.#client = client
    this.modelId = modelId
  }

  async doGenerate(options: LanguageModelV4CallOptions): Promise<LanguageModelV4GenerateResult> {
    const { abortSignal } = options
    const { request, warnings } = readCall(options)
    try {
      const generation = this.#client.generate({ ...request, model: this.modelId, ...signalOf(abortSignal) })
      const result = await wholeAnswer(generation, abortSignal)
      const { finishReason, usage } = result
      return {
        content: contentOf(result),
        finishReason: finishOf(finishReason),
        usage: usageOf(usage),
        response: this.#metadata(),
        warnings,
      }
    } catch (error) {
      abortSignal?.throwIfAborted()
      throw error
    }
  }

  async doStream(options: LanguageModelV4CallOptions): Promise<LanguageModelV4StreamResult> {
    const { abortSignal } = options
    const { request, warnings } = readCall(options)
    const left = new AbortController()
    const signal = abortSignal === undefined ? left.signal : AbortSignal.any([abortSignal, left.signal])
    try {
      const generation = this.#client.generate({ ...request, model: this.modelId, signal })
      const parts = partsOf(answerEvents(generation, signal), [
        { type: 'stream-start', warnings },
        { type: 'response-metadata', ...this.#metadata() },
      ])
      return { stream: streamOf(await begun(parts), abortSignal, () => left.abort()) }
    } catch (error) {
      abortSignal?.throwIfAborted()
      throw error
    }
  }

  #metadata() {
    const { id, created, model } = newIdentity('tabserve', this.modelId)
    return { id, timestamp: new Date(created * 1000), modelId: model }
  }
}

async function* partsOf(
  events: AsyncIterable<AnswerEvent>,
  beginning: readonly LanguageModelV4StreamPart[],
): AsyncGenerator<LanguageModelV4StreamPart, void, void> {
  const writer = new PartWriter()
  let hasBegun = false
  for await (const event of events) {
    // Not before the first event: what is refused rejects the call.
    if (!hasBegun) yield* beginning
    hasBegun = true
    if (event.type === 'delta') {
      yield* writer.take(event)
      continue
    }
    const { finishReason, usage } = event.result
    yield* writer.end()
    yield { type: 'finish', finishReason: finishOf(finishReason), usage: usageOf(usage) }
  }
}

function streamOf(
  parts: AsyncIterableIterator<LanguageModelV4StreamPart, void, void>,
  signal: AbortSignal | undefined,
  leave: () => void,
): ReadableStream<LanguageModelV4StreamPart> {
  return new ReadableStream({
    async pull(controller) {
      try {
        const { done, value } = await parts.next()
        if (done === true) controller.close()
        else controller.enqueue(value)
      } catch (error) {
        controller.error(signal?.aborted === true ? signal.reason : error)
      }
    },
    cancel: leave,
  })
}

function signalOf(signal: AbortSignal | undefined): { signal?: AbortSignal } {
  return signal === undefined ? {} : { signal }
}

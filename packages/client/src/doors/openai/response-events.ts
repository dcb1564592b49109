import { toWireError } from '@tabserve/protocol'
import type { AnswerEvent } from '../answer-stream.ts'
import { ResponseWriter } from './response-writer.ts'
import type { ResponseEventBody, ResponseObject, ResponseStreamEvent } from './response-shapes.ts'

/** The events of a response, with their places in the stream. */
export function responseStream(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): AsyncGenerator<ResponseStreamEvent, void, void> {
  return numbered(responseEvents(answer, begin))
}

/** The response at its end: what the stream would have come to. */
export async function wholeResponse(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): Promise<ResponseObject> {
  const writer = new ResponseWriter(begin)
  for await (const event of answer) writer.take(event)
  return writer.response
}

/** What fails before the first event is thrown; what fails later is told in the stream, as OpenAI does, unless it was the caller's signal. */
async function* responseEvents(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): AsyncGenerator<ResponseEventBody, void, void> {
  const writer = new ResponseWriter(begin)
  let hasBegun = false
  try {
    for await (const event of answer) {
      if (!hasBegun) {
        yield { type: 'response.created', response: begin }
        yield { type: 'response.in_progress', response: begin }
      }
      hasBegun = true
      yield* writer.take(event)
    }
  } catch (error) {
    const { code, message } = toWireError(error, 'backend_failed')
    if (!hasBegun || code === 'aborted') throw error
    const failed = { status: 'failed' as const, error: { code: 'server_error' as const, message } }
    yield { type: 'response.failed', response: { ...begin, ...failed } }
  }
}

async function* numbered(
  events: AsyncIterable<ResponseEventBody>,
): AsyncGenerator<ResponseStreamEvent, void, void> {
  let number = 0
  for await (const event of events) yield { ...event, sequence_number: number++ }
}

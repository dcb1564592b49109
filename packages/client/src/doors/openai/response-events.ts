import { toWireError } from '@tabserve/protocol'
import type { AnswerEvent } from '../answer-stream.ts'
import { newId } from './identity.ts'
import { messageOf, partOf, responseOf } from './response-object.ts'
import type { ResponseEventBody, ResponseObject, ResponseStreamEvent } from './response-shapes.ts'

/** The events of a response, with their places in the stream. */
export function responseStream(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): AsyncGenerator<ResponseStreamEvent, void, void> {
  return numbered(responseEvents(answer, begin))
}

/** What fails before the first event is thrown; what fails later is told in the stream, as OpenAI does, unless it was the caller's signal. */
async function* responseEvents(
  answer: AsyncIterable<AnswerEvent>,
  begin: ResponseObject,
): AsyncGenerator<ResponseEventBody, void, void> {
  const id = newId('msg')
  const place = { item_id: id, output_index: 0, content_index: 0 }
  let hasBegun = false
  function* beginning(): Generator<ResponseEventBody, void, void> {
    if (hasBegun) return
    hasBegun = true
    yield { type: 'response.created', response: begin }
    yield { type: 'response.in_progress', response: begin }
    yield { type: 'response.output_item.added', output_index: 0, item: messageOf(id, 'in_progress') }
    yield { type: 'response.content_part.added', ...place, part: partOf('') }
  }
  try {
    for await (const event of answer) {
      yield* beginning()
      if (event.type === 'end') yield* ending(responseOf(begin, id, event.result))
      else if (event.text !== '')
        yield { type: 'response.output_text.delta', ...place, delta: event.text, logprobs: [] }
    }
  } catch (error) {
    const { code, message } = toWireError(error, 'backend_failed')
    if (!hasBegun || code === 'aborted') throw error
    const failed = { status: 'failed' as const, error: { code: 'server_error' as const, message } }
    yield { type: 'response.failed', response: { ...begin, ...failed } }
  }
}

function* ending(response: ResponseObject): Generator<ResponseEventBody, void, void> {
  const [item] = response.output
  if (item === undefined) return
  const place = { item_id: item.id, output_index: 0, content_index: 0 }
  const text = response.output_text
  yield { type: 'response.output_text.done', ...place, text, logprobs: [] }
  yield { type: 'response.content_part.done', ...place, part: partOf(text) }
  yield { type: 'response.output_item.done', output_index: 0, item }
  yield { type: response.status === 'completed' ? 'response.completed' : 'response.incomplete', response }
}

async function* numbered(
  events: AsyncIterable<ResponseEventBody>,
): AsyncGenerator<ResponseStreamEvent, void, void> {
  let number = 0
  for await (const event of events) yield { ...event, sequence_number: number++ }
}

import type { EngineError } from '@tabserve/protocol'
import { toWireError, EngineError as KnownError } from '@tabserve/protocol'
import type { CallOptions, Stream } from '../openai/chat-completions.ts'
import type { ChatCompletionParams } from '../openai/chat-shapes.ts'
import type { CompletionParams } from '../openai/completion-shapes.ts'
import type { EmbeddingParams } from '../openai/embedding-shapes.ts'
import type { OpenAIDoor } from '../openai/openai-door.ts'
import type { ResponseParams, ResponseStreamEvent } from '../openai/response-shapes.ts'
import { eventStream } from './event-stream.ts'
import type { Call, Route, RouteFamily } from './route.ts'
import { jsonResponse } from './route.ts'
import { retryHeaders } from './status.ts'

/** OpenAI's HTTP API over the door that speaks its words. Bodies go to the door as they came: it checks them. */
export function openAIRoutes(door: OpenAIDoor): RouteFamily {
  const routes: Route[] = [
    post(/^\/chat\/completions$/, (call) =>
      streamOrJson(call, (options) =>
        door.chat.completions.create(call.body as ChatCompletionParams, options),
      ),
    ),
    post(/^\/completions$/, (call) =>
      streamOrJson(call, (options) => door.completions.create(call.body as CompletionParams, options)),
    ),
    post(/^\/responses$/, (call) =>
      streamOrJson(
        call,
        (options) => door.responses.create(call.body as ResponseParams, options),
        ({ type, ...event }: ResponseStreamEvent) =>
          `event: ${type}\ndata: ${JSON.stringify({ type, ...event })}\n\n`,
        '',
      ),
    ),
    post(/^\/embeddings$/, async ({ body, signal }) =>
      jsonResponse(await door.embeddings.create(body as EmbeddingParams, { signal })),
    ),
    get(/^\/models$/, async () => jsonResponse(await door.models.list())),
    get(/^\/models\/(.+)$/, async ({ path: [model = ''] }) =>
      jsonResponse(await door.models.retrieve(model)),
    ),
  ]
  return { prefix: '/v1', routes, fail }
}

function get(path: RegExp, answer: Route['answer']): Route {
  return { method: 'GET', path, answer }
}

function post(path: RegExp, answer: Route['answer']): Route {
  return { method: 'POST', path, answer }
}

async function streamOrJson<Chunk extends object>(
  call: Call,
  create: (options: CallOptions) => Promise<object | Stream<Chunk>>,
  write: (chunk: Chunk) => string = (chunk) => `data: ${JSON.stringify(chunk)}\n\n`,
  end = 'data: [DONE]\n\n',
): Promise<Response> {
  const left = new AbortController()
  const answer = await create({ signal: AbortSignal.any([call.signal, left.signal]) })
  if (!isStream(answer)) return jsonResponse(answer)
  return eventStream<Chunk>({
    events: answer,
    write,
    end,
    fail: (error) => `data: ${JSON.stringify(errorBody(error))}\n\n`,
    signal: call.signal,
    leave: () => left.abort(),
  })
}

function isStream<Chunk>(answer: object | Stream<Chunk>): answer is Stream<Chunk> {
  return Symbol.asyncIterator in answer
}

function fail(error: EngineError, status: number): Response {
  return jsonResponse(errorBody(error), status, retryHeaders(error))
}

const TYPE_OF: Partial<Record<EngineError['code'], string>> = {
  bad_request: 'invalid_request_error',
  unsupported_parameter: 'invalid_request_error',
  context_overflow: 'invalid_request_error',
  model_not_loaded: 'invalid_request_error',
  queue_full: 'rate_limit_error',
}

/** Codes that OpenAI has a word of its own for. */
const CODE_OF: Partial<Record<EngineError['code'], string>> = {
  model_not_loaded: 'model_not_found',
  context_overflow: 'context_length_exceeded',
}

function errorBody(error: unknown): object {
  const { code, message, param } = error instanceof KnownError ? error : toWireError(error, 'backend_failed')
  const type = TYPE_OF[code] ?? 'server_error'
  return { error: { message, type, param: param ?? null, code: CODE_OF[code] ?? code } }
}

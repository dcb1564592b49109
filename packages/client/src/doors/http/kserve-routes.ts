import type { EngineError } from '@tabserve/protocol'
import type { KServeDoor } from '../kserve/kserve-door.ts'
import type { KServeInferRequest, LoadParameters } from '../kserve/shapes.ts'
import { readFields, wrong } from '../openai/fields.ts'
import type { Route, RouteFamily } from './route.ts'
import { JSON_LENGTH, jsonResponse } from './route.ts'
import { retryHeaders } from './status.ts'

/** `/models/NAME` or `/models/NAME/versions/VERSION`. */
const MODEL = '\\/models\\/([^/]+)(?:\\/versions\\/([^/]+))?'

/** KServe v2's HTTP API, with Triton's repository and statistics. */
export function kserveRoutes(door: KServeDoor): RouteFamily {
  const routes: Route[] = [
    route('GET', '', async () => jsonResponse(door.serverMetadata())),
    route('GET', '\\/health\\/live', async () => healthOf(await door.serverLive())),
    route('GET', '\\/health\\/ready', async () => healthOf(await door.serverReady())),
    route('GET', `${MODEL}\\/ready`, async ({ path: [name = '', version] }) =>
      healthOf(await door.modelReady(name, version)),
    ),
    route('GET', `${MODEL}\\/stats`, async ({ path: [name = '', version] }) =>
      jsonResponse(await door.statistics(name, version)),
    ),
    route('GET', '\\/models\\/stats', async () => jsonResponse(await door.statistics())),
    route('GET', MODEL, async ({ path: [name = '', version] }) =>
      jsonResponse(await door.modelMetadata(name, version)),
    ),
    route('POST', `${MODEL}\\/infer`, async ({ path: [name = '', version], body, binary, signal }) => {
      const call = { signal, binary, ...(version === undefined ? {} : { version }) }
      const answer = await door.inferBinary(name, body as KServeInferRequest, call)
      return answer.binary.length === 0 ? jsonResponse(answer.response) : binaryResponse(answer)
    }),
    route('POST', '\\/repository\\/index', async ({ body = {} }) =>
      jsonResponse(
        await door.repositoryIndex({ ready: readFields(body, { ready: 'used' }, 'index')['ready'] === true }),
      ),
    ),
    route('POST', '\\/repository\\/models\\/([^/]+)\\/load', async ({ path: [name = ''], body = {} }) => {
      await door.load(name, loadParameters(body))
      return jsonResponse({})
    }),
    route('POST', '\\/repository\\/models\\/([^/]+)\\/unload', async ({ path: [name = ''], body = {} }) => {
      await door.unload(name, loadParameters(body).version)
      return jsonResponse({})
    }),
  ]
  return { prefix: '/v2', routes, fail }
}

function route(method: Route['method'], path: string, answer: Route['answer']): Route {
  return { method, path: new RegExp(`^${path}$`), answer }
}

/** JSON, its length in a header, and the outputs' bytes behind it. */
function binaryResponse({ response, binary }: Awaited<ReturnType<KServeDoor['inferBinary']>>): Response {
  const json = new TextEncoder().encode(JSON.stringify(response))
  return new Response(new Blob([json, ...binary] as BlobPart[]), {
    headers: { 'content-type': 'application/octet-stream', [JSON_LENGTH]: String(json.length) },
  })
}

/** Health is in the status alone. */
function healthOf(isWell: boolean): Response {
  return new Response(null, { status: isWell ? 200 : 503 })
}

function loadParameters(body: unknown): LoadParameters {
  const { parameters = {} } = readFields(body, { parameters: 'used' }, 'repository')
  const given = readFields(
    parameters,
    { url: 'used', version: 'used', unload_dependents: 'ignored' },
    'repository',
  )
  for (const [name, value] of Object.entries(given))
    if (typeof value !== 'string') throw wrong(`parameters.${name}`, 'must be a string.')
  return given
}

function fail(error: EngineError, status: number): Response {
  return jsonResponse({ error: error.message }, status, retryHeaders(error))
}

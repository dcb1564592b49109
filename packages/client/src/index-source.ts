import type { ModelIndex } from '@tabserve/protocol'
import { EngineError, modelIndexProblem } from '@tabserve/protocol'

const CACHE = 'tabserve-index'
const MAX_LETTERS = 2 ** 22

/**
 * The index of the model folder at `base`, an absolute address with a slash at its end: from the network, or, where that does not answer, as it was
 * last seen. Throws `model_not_found`, `network`, `bad_model`, and `bad_request` for an origin that is not allowed.
 */
export async function fetchIndex(
  base: string,
  allowedOrigins: readonly string[] | undefined,
): Promise<ModelIndex> {
  const url = new URL('index.json', base).href
  checkOrigin(url, allowedOrigins)
  const response = await answerOf(url)
  checkOrigin(response.url === '' ? url : response.url, allowedOrigins) // it may have been led elsewhere
  if (!response.ok) {
    const words = `${url} answers ${response.status}. A model folder's index lists its versions.`
    throw new EngineError(response.status === 404 ? 'model_not_found' : 'network', words)
  }
  const text = await textOf(response, url)
  const index = checked(url, text)
  await keep(url, new Response(text))
  return index
}

async function answerOf(url: string): Promise<Response> {
  try {
    return await fetch(url, { cache: 'no-cache' })
  } catch (cause) {
    const kept = await (await openCache())?.match(url)
    if (kept !== undefined) return kept
    throw new EngineError('network', `${url} could not be fetched. Is the device online?`, { cause })
  }
}

/** As much text as an index may have. Throws `bad_model`. */
async function textOf(response: Response, url: string): Promise<string> {
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
  let text = ''
  for (;;) {
    const piece = await reader?.read()
    if (piece?.value === undefined) return text
    text += piece.value
    if (text.length <= MAX_LETTERS) continue
    await reader?.cancel()
    throw new EngineError('bad_model', `${url} has more than ${MAX_LETTERS} letters, which no index has.`)
  }
}

async function keep(url: string, response: Response): Promise<void> {
  // A full disk does not make an index wrong; it is asked for again next time.
  await (await openCache())?.put(url, response).catch(() => {})
}

/** `undefined` on insecure pages and where the browser forbids storage. */
async function openCache(): Promise<Cache | undefined> {
  if (typeof caches === 'undefined') return undefined
  return caches.open(CACHE).catch(() => undefined)
}

function checked(url: string, text: string): ModelIndex {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new EngineError('bad_model', `${url} is not JSON.`, { cause })
  }
  const problem = modelIndexProblem(value)
  if (problem !== undefined) throw new EngineError('bad_model', `${url}: ${problem}.`)
  return value as ModelIndex
}

function checkOrigin(url: string, allowedOrigins: readonly string[] | undefined): void {
  const { origin } = new URL(url)
  if (allowedOrigins === undefined || allowedOrigins.includes(origin)) return
  throw new EngineError('bad_request', `${origin} is not one of storage.allowedOrigins.`)
}

import type { IncomingHttpHeaders, IncomingMessage, ServerResponse } from 'node:http'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'

/** A request as the server got it. */
export interface Received {
  readonly path: string
  readonly headers: IncomingHttpHeaders
  readonly body: Record<string, unknown>
}

/** How the server behaves; can be changed between requests. */
export interface ServerBehaviour {
  /** What it says, piece by piece. */
  words: readonly string[]
  /** Between two pieces. */
  gapMs: number
  status: number
  /** `cut`: the connection ends after the first piece; `fail`: an error comes as an event; `whole`: one JSON body, no stream. */
  ending: 'good' | 'cut' | 'fail' | 'whole'
}

/**
 * A server that speaks OpenAI's API, as vLLM does, and KServe's generate extension, as Triton does, for any page. It checks its caller: what
 * these would refuse, it refuses.
 */
export class FakeLlmServer {
  readonly received: Received[] = []
  /** Answers whose reader went away. */
  numAborted = 0
  readonly behaviour: ServerBehaviour = {
    words: ['Once', ' upon', ' a', ' time'],
    gapMs: 5,
    status: 200,
    ending: 'good',
  }
  readonly #server = createServer((request, response) => {
    this.#answer(request, response).catch((error: unknown) => {
      response.destroy(error instanceof Error ? error : new Error(String(error)))
    })
  })

  async start(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, '127.0.0.1', resolve))
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`
  }

  async stop(): Promise<void> {
    this.#server.closeAllConnections()
    await new Promise((resolve) => this.#server.close(resolve))
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    response.setHeader('access-control-allow-origin', '*')
    response.setHeader('access-control-allow-headers', '*, authorization')
    if (request.method === 'OPTIONS') return void response.writeHead(204).end()
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(chunk as Buffer)
    const body = JSON.parse(Buffer.concat(chunks).toString()) as Record<string, unknown>
    const path = request.url ?? ''
    this.received.push({ path, headers: request.headers, body })
    const { status } = this.behaviour
    const says = request.headers['content-type']
    const problem =
      status !== 200
        ? { status, message: 'the server says no' }
        : request.method !== 'POST' || says !== 'application/json'
          ? { status: 400, message: `${request.method} of ${says} is not understood` }
          : problemOf(path, body)
    if (problem !== undefined) {
      response.writeHead(problem.status, { 'retry-after': '2', 'content-type': 'application/json' })
      const error = path.startsWith('/v2/') ? problem.message : { message: problem.message }
      return void response.end(JSON.stringify({ error }))
    }
    response.on('close', () => response.writableFinished || this.numAborted++)
    if (path.startsWith('/v1/')) await this.#speakOpenAi(path, body, response)
    else await this.#speakKServe(response)
  }

  async #speakOpenAi(path: string, body: Record<string, unknown>, response: ServerResponse): Promise<void> {
    const { words, ending } = this.behaviour
    const isChat = path === '/v1/chat/completions'
    const usage = {
      prompt_tokens: 7,
      completion_tokens: words.length,
      prompt_tokens_details: { cached_tokens: 3 },
    }
    if (ending === 'whole') {
      response.writeHead(200, { 'content-type': 'application/json' })
      const message = { role: 'assistant', content: words.join('') }
      response.end(JSON.stringify({ choices: [{ index: 0, message, finish_reason: 'length' }], usage }))
      return
    }
    const choices = Array.from({ length: (body['n'] as number | undefined) ?? 1 }, (_, index) => index)
    const piece = (index: number, text: string) =>
      isChat
        ? { choices: [{ index, delta: { content: text }, finish_reason: null }] }
        : { choices: [{ index, text, finish_reason: null }] }
    await this.#stream(response, (word) => choices.map((index) => piece(index, word)))
    if (ending !== 'good') return
    for (const index of choices)
      send(response, { choices: [{ index, delta: {}, text: '', finish_reason: 'stop' }] })
    send(response, { choices: [], usage })
    response.end('data: [DONE]\r\n\r\n')
  }

  async #speakKServe(response: ServerResponse): Promise<void> {
    await this.#stream(response, (word) => [{ model_name: 'big', model_version: '1', text_output: word }])
    if (this.behaviour.ending === 'good') response.end()
  }

  async #stream(response: ServerResponse, events: (word: string) => object[]): Promise<void> {
    const { words, gapMs, ending } = this.behaviour
    response.writeHead(200, { 'content-type': 'text/event-stream; charset=utf-8' })
    response.write(': a comment, which readers pass over\r\n\r\n')
    for (const word of words) {
      if (response.destroyed) return
      for (const event of events(word)) send(response, event)
      await new Promise((resolve) => setTimeout(resolve, gapMs))
      if (ending === 'cut') return void response.destroy()
      if (ending === 'fail') return void response.end(`data: {"error": "out of memory"}\n\n`)
    }
  }
}

/** In two writes, so that a reader meets half lines and half characters. */
function send(response: ServerResponse, event: object): void {
  const bytes = Buffer.from(`data: ${JSON.stringify(event)}\r\n\r\n`)
  const middle = Math.floor(bytes.length / 2)
  response.write(bytes.subarray(0, middle))
  response.write(bytes.subarray(middle))
}

const OPENAI = [
  'model',
  'messages',
  'prompt',
  'stream',
  'stream_options',
  'n',
  'max_tokens',
  'temperature',
  'top_p',
]
/** vLLM's own, beside OpenAI's. */
const VLLM = ['top_k', 'min_p', 'repetition_penalty', 'min_tokens', 'ignore_eos']
const KNOWN = [...OPENAI, ...VLLM, 'presence_penalty', 'frequency_penalty', 'stop', 'seed', 'user']

function problemOf(
  path: string,
  body: Record<string, unknown>,
): { status: number; message: string } | undefined {
  const bad = (message: string) => ({ status: 400, message })
  if (path === '/v2/models/big/generate_stream' || path === '/v2/models/big/versions/3/generate_stream')
    return generateProblem(body)
  const key = path === '/v1/chat/completions' ? 'messages' : path === '/v1/completions' ? 'prompt' : undefined
  if (key === undefined) return { status: 404, message: `there is no ${path}` }
  const unknown = Object.keys(body).find((name) => !KNOWN.includes(name))
  if (unknown !== undefined) return bad(`${unknown} is not known`)
  if (body['model'] !== 'big') return { status: 404, message: 'no such model' }
  return body[key] === undefined ? bad(`${key} is missing`) : undefined
}

/**
 * `$generate_request` of Triton's generate extension, word by word: a text, and parameters each of which is a string, a number or a boolean. Other fields
 * would be tensors of the model (docs/protocol/extension_generate.md); this model has none.
 */
function generateProblem(body: Record<string, unknown>): { status: number; message: string } | undefined {
  const { text_input: text, parameters = {}, ...others } = body
  const bad = (message: string) => ({ status: 400, message })
  if (typeof text !== 'string') return bad('text_input must be a string')
  const [other] = Object.keys(others)
  if (other !== undefined) return bad(`the model has no input ${other}`)
  if (typeof parameters !== 'object' || parameters === null || Array.isArray(parameters))
    return bad('parameters must be an object')
  const wrong = Object.entries(parameters).find(
    ([, value]) => !['string', 'number', 'boolean'].includes(typeof value),
  )
  return wrong === undefined
    ? undefined
    : bad(`parameter ${wrong[0]} must be a string, a number or a boolean`)
}

import type { Answer, GrantCommand, GrantEvent, GrantedModel, ModelInfo, Request } from '@tabserve/protocol'
import { EngineError, answer } from '@tabserve/protocol'
import type { Host } from '../hub/host.ts'
import { handOver } from '../hub/link.ts'

const MAX_REQUESTS = 16

export interface GrantOptions {
  /** Models that the holder may ask, by the names that it may use: `name`, for every version, or `name@version`. */
  readonly models: readonly string[]
  /** Requests that the holder may have open at once; one more is refused with `queue_full`. Default 16. */
  readonly maxRequests?: number
}

/**
 * The right to ask some models and nothing else, as a port: transfer it to an iframe or a script that is not trusted, which calls `connect(port)`. Its
 * holder can neither load nor unload, sees only its own requests, shares no cached prompts with others and goes before nobody.
 */
export class Grant {
  /** For the holder. Transfer it once. */
  readonly port: MessagePort
  readonly #port: MessagePort
  readonly #host: Host
  readonly #models: ReadonlySet<string>
  readonly #maxRequests: number
  readonly #name = `grant-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`
  readonly #open = new Set<string>()
  #isRevoked = false

  /** Throws `bad_request`. */
  constructor(host: Host, { models, maxRequests = MAX_REQUESTS }: GrantOptions) {
    if (!Array.isArray(models) || models.length === 0 || !models.every((model) => typeof model === 'string'))
      throw new EngineError('bad_request', 'grant needs models: a list of the names of one or more.')
    if (!(Number.isInteger(maxRequests) && maxRequests >= 1))
      throw new EngineError(
        'bad_request',
        `maxRequests ${String(maxRequests)} must be a whole number of at least 1.`,
      )
    const { port1, port2 } = new MessageChannel()
    this.#host = host
    this.#models = new Set(models)
    this.#maxRequests = maxRequests
    this.#port = port1
    this.port = port2
    port1.onmessage = ({ data }: MessageEvent<unknown>) => void this.#take(data)
    // Where browsers tell that the holder is gone.
    port1.addEventListener('close', () => this.revoke())
  }

  /** Takes the right back: what the holder has asked ends with reason `abort`, and its calls fail with `not_allowed`. */
  revoke(): void {
    if (this.#isRevoked) return
    this.#isRevoked = true
    for (const id of this.#open) this.#cancel(id)
    this.#tell({ type: 'revoked' })
    this.#port.close()
  }

  /** Anything may come. What is no command is not answered. */
  async #take(data: unknown): Promise<void> {
    const command = (data ?? {}) as Partial<GrantCommand>
    if (this.#isRevoked || typeof command.call !== 'number') return
    const answered = await this.#answer(command)
    if (answered !== undefined) this.#tell({ type: 'answer', call: command.call, answer: answered })
  }

  #answer(command: Partial<GrantCommand>): Promise<Answer<unknown>> | undefined {
    switch (command.type) {
      case 'list':
        return answer('backend_failed', () => this.#list())
      case 'submit':
        return answer('bad_request', () => this.#submit(command).then(() => null))
      case 'cancel':
        return answer('bad_request', () => {
          if (typeof command.id === 'string') this.#cancel(this.#idOf(command.id))
          return null
        })
    }
  }

  async #list(): Promise<readonly GrantedModel[]> {
    const all = await this.#host.call((api) => api.list())
    return all
      .filter((info) => this.#covers(info))
      .map(({ id, contextLength, hasChatTemplate }) => ({ id, contextLength, hasChatTemplate }))
  }

  async #submit({
    request,
    port,
    id,
    isCancelled = false,
  }: Partial<Extract<GrantCommand, { type: 'submit' }>>): Promise<void> {
    if (
      typeof request !== 'object' ||
      request === null ||
      typeof id !== 'string' ||
      !(port instanceof MessagePort)
    )
      throw new EngineError('bad_request', 'A request over a grant needs an id, a request and a port.')
    if (this.#open.size >= this.#maxRequests)
      throw new EngineError(
        'queue_full',
        `The grant allows ${this.#maxRequests} requests at once. Wait for one to end.`,
      )
    const own = this.#idOf(id)
    if (this.#open.has(own)) throw new EngineError('bad_request', `There is a request ${id} already.`)
    this.#open.add(own)
    try {
      await this.#checkModel(request.model)
      await this.#host.call((api) =>
        api.submit(this.#humble(request), handOver(port), own, isCancelled === true),
      )
    } finally {
      this.#open.delete(own)
    }
  }

  /** Throws `not_allowed`, also for a model that is not there: the holder is not to learn what else there is. */
  async #checkModel(model: unknown): Promise<void> {
    if (typeof model === 'string') {
      if (this.#models.has(model)) return
      const info = await this.#host.call((api) => api.describe(model)).catch(() => undefined)
      if (info !== undefined && this.#covers(info)) return
    }
    const allowed = [...this.#models].join(', ')
    throw new EngineError('not_allowed', `The grant does not cover ${String(model)}. It covers: ${allowed}.`)
  }

  #covers({ id, manifest }: ModelInfo): boolean {
    return this.#models.has(id) || this.#models.has(manifest.name)
  }

  /** A cache of its own, so that `cachedTokens` tells nothing of what others asked; and no way past them. */
  #humble(request: Request): Request {
    if (request.task !== 'generate')
      throw new EngineError('not_allowed', 'A grant covers generating text, and nothing else.')
    const { priority, cacheSalt = '' } = request
    return {
      ...request,
      ...(typeof priority === 'number' && priority < 0 ? { priority: 0 } : {}),
      preempt: false,
      cacheSalt: `${this.#name} ${cacheSalt}`,
    }
  }

  #cancel(id: string): void {
    void this.#host.call((api) => api.cancel(id)).catch(() => {}) // a host that is gone has cancelled everything
  }

  #idOf(id: string): string {
    return `${this.#name}/${id}`
  }

  #tell(event: GrantEvent): void {
    this.#port.postMessage(event)
  }
}

import type { GrantCommand, GrantEvent, ModelInfo, GenerateRequest } from '@tabserve/protocol'
import { EngineError, answer } from '@tabserve/protocol'
import type { ControlPlane } from '../control/control-plane.ts'
import { GrantedNames } from './granted-names.ts'
import { relay } from './relay.ts'

const MAX_REQUESTS = 16

/** What the holder of a granted port may do. */
export interface GrantOptions {
  /** What the holder may ask, by the names that it may use: an alias, `name` for every version of a model, or `name@version`. */
  readonly models: readonly string[]
  /** Requests that the holder may have open at once; one more is refused with `queue_full`. Default 16. */
  readonly maxRequests?: number
}

export interface GrantPorts {
  /** The page's own: what is granted is counted, split, drained and answered for by servers as what the page asks. */
  readonly control: ControlPlane
  /** Asks the control plane, past whoever listens. */
  readonly submit: ControlPlane['submit']
  /** The loaded models. */
  readonly list: () => Promise<readonly ModelInfo[]>
}

type Submit = Extract<GrantCommand, { type: 'submit' }>

/**
 * The right to ask some models and nothing else, as a port: transfer it to an iframe or a script that is not trusted, which calls `connect(port)`. Its
 * holder can neither load nor unload, sees only its own requests, shares no cached prompts with others and goes before nobody.
 */
export class Grant {
  /** For the holder. Transfer it once. */
  readonly port: MessagePort
  readonly #port: MessagePort
  readonly #ports: GrantPorts
  readonly #names: GrantedNames
  readonly #maxRequests: number
  readonly #cacheSalt = `grant-${crypto.getRandomValues(new Uint32Array(2)).join('-')}`
  /** How to cancel what is under way. */
  readonly #open = new Set<() => void>()
  #isRevoked = false

  /** Throws `bad_request`. */
  constructor(ports: GrantPorts, { models, maxRequests = MAX_REQUESTS }: GrantOptions) {
    if (!(Number.isInteger(maxRequests) && maxRequests >= 1))
      throw new EngineError(
        'bad_request',
        `maxRequests ${String(maxRequests)} must be a whole number of at least 1.`,
      )
    const { port1, port2 } = new MessageChannel()
    this.#ports = ports
    this.#names = new GrantedNames(ports.control, models)
    this.#maxRequests = maxRequests
    this.#port = port1
    this.port = port2
    port1.onmessage = ({ data }: MessageEvent<unknown>) => this.#take(data)
    // Where browsers tell that the holder is gone.
    port1.addEventListener('close', () => this.revoke())
  }

  /** Takes the right back: what the holder has asked ends with reason `abort`, and its calls fail with `not_allowed`. */
  revoke(): void {
    if (this.#isRevoked) return
    this.#isRevoked = true
    for (const cancel of this.#open) cancel()
    this.#tell({ type: 'revoked' })
    this.#port.close()
  }

  /** Anything may come. What is no command is not answered. */
  #take(data: unknown): void {
    const command = (data ?? {}) as Partial<GrantCommand>
    if (this.#isRevoked) return
    if (command.type === 'list' && typeof command.call === 'number') void this.#list(command.call)
    if (command.type === 'submit' && command.port instanceof MessagePort)
      this.#submit({ ...command, port: command.port })
  }

  async #list(call: number): Promise<void> {
    const answered = await answer('backend_failed', async () => this.#names.list(await this.#ports.list()))
    if (!this.#isRevoked) this.#tell({ type: 'answer', call, answer: answered })
  }

  #submit({ request, stickyKey, port, isCancelled }: Partial<Submit> & Pick<Submit, 'port'>): void {
    const end = () => this.#open.delete(cancel)
    let cancelRequest = () => {}
    const cancel = () => cancelRequest()
    const isRoom = this.#open.size < this.#maxRequests
    this.#open.add(cancel)
    cancelRequest = relay(
      port,
      (listener) => {
        if (!isRoom) throw full(this.#maxRequests)
        return this.#ports.submit(this.#humble(request), stickyKey, listener)
      },
      isCancelled === true,
      end,
    )
  }

  /** What the holder may ask, as it may ask it: with a cache of its own, so that `cachedTokens` tells nothing of what others asked, and no way past them. */
  #humble(request: GenerateRequest | undefined): GenerateRequest {
    if (typeof request !== 'object' || request === null)
      throw new EngineError('bad_request', 'A request over a grant needs a request.')
    if (request.task !== 'generate')
      throw new EngineError('not_allowed', 'A grant covers generating text, and nothing else.')
    this.#names.check(request.model)
    if (request.session !== undefined)
      throw new EngineError(
        'not_allowed',
        'A grant has no sessions: send the whole conversation; what was read before is found in the KV cache.',
      )
    const { priority, cacheSalt = '' } = request
    return {
      ...request,
      ...(typeof priority === 'number' && priority < 0 ? { priority: 0 } : {}),
      preempt: false,
      cacheSalt: `${this.#cacheSalt} ${cacheSalt}`,
    }
  }

  #tell(event: GrantEvent): void {
    this.#port.postMessage(event)
  }
}

function full(maxRequests: number): EngineError {
  return new EngineError(
    'queue_full',
    `The grant allows ${maxRequests} requests at once. Wait for one to end.`,
  )
}

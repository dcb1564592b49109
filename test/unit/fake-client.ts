import type { GenerateOptions } from '../../packages/client/src/client-options.ts'
import type { ServedClient } from '../../packages/client/src/doors/served-client.ts'
import { Generation } from '../../packages/client/src/generation.ts'
import type { FinishReason, WireError } from '../../packages/protocol/src/index.ts'

/** One request as the client got it, and what the test has the worker say to it. */
export interface Asked {
  readonly options: GenerateOptions
  say(text: string): void
  finish(reason?: FinishReason): void
  fail(error: WireError): void
  readonly isCancelled: boolean
}

/** A client whose worker is the test. It ends a request that is cancelled, as the engine does. */
export class FakeClient implements Pick<ServedClient, 'generate' | 'list' | 'describe' | 'tokenTexts'> {
  readonly asked: Asked[] = []

  generate(options: GenerateOptions): Generation {
    let isCancelled = false
    let numTokens = 0
    const n = options.n ?? 1
    const finish = (reason: FinishReason = 'stop') =>
      generation.take({
        type: 'finish',
        choices: Array.from({ length: n }, () => ({ reason })),
        usage: { promptTokens: 3, cachedTokens: 1, completionTokens: numTokens },
        timing: { queueMs: 0, firstTokenMs: 1, totalMs: 2 },
      })
    const cancel = () => {
      isCancelled = true
      queueMicrotask(() => finish('abort'))
    }
    const generation = new Generation(cancel)
    generation.setServedBy({ where: 'local', model: options.model })
    options.signal?.addEventListener('abort', () => generation.cancel())
    if (options.signal?.aborted === true) generation.cancel()
    this.asked.push({
      options,
      say: (text) => generation.take({ type: 'delta', choice: 0, text, tokens: [numTokens++] }),
      finish,
      fail: (error) => generation.take({ type: 'error', error }),
      get isCancelled() {
        return isCancelled
      },
    })
    return generation
  }

  list() {
    return Promise.resolve([])
  }

  describe(): never {
    throw new Error('not asked for here')
  }

  tokenTexts(_: string, tokens: readonly number[]) {
    return Promise.resolve(tokens.map((token) => `<${token}>`))
  }
}

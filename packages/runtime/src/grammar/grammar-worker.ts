import type { GrammarAnswer, GrammarCall } from './grammar-calls.ts'
import type { GrammarMatcher } from './xgrammar.ts'
import { XGrammar } from './xgrammar.ts'

/** Name of the worker that keeps grammars. It runs the same file as the worker that it helps. */
export const GRAMMAR_WORKER_NAME = 'tabserve-grammar'

/** Whether this worker was started for grammars: its entry file then does `serveGrammars()` and nothing else. */
export function isGrammarWorker(): boolean {
  return self.name === GRAMMAR_WORKER_NAME
}

/** Compiles grammars and says what may come next, one call after the other. */
export function serveGrammars(): void {
  const server = new GrammarServer()
  let turn = Promise.resolve()
  globalThis.onmessage = ({ data }: MessageEvent<GrammarCall>) => {
    turn = turn.then(() => server.handle(data))
  }
}

class GrammarServer {
  #grammar: Promise<XGrammar> | undefined
  readonly #matchers = new Map<number, GrammarMatcher>()

  async handle(call: GrammarCall): Promise<void> {
    switch (call.type) {
      case 'open':
        this.#grammar = XGrammar.load(call.script, call.vocabulary)
        return this.#grammar.then(
          () => {},
          (error: unknown) => say({ type: 'failed', reason: String(error) }),
        )
      case 'start':
        return this.#start(call)
      case 'accept':
        this.#matchers.get(call.id)?.acceptToken(call.token)
        return this.#sayMask(call.id)
      case 'end':
        this.#matchers.get(call.id)?.dispose()
        this.#matchers.delete(call.id)
    }
  }

  async #start({ id, spec, tokens }: GrammarCall & { type: 'start' }): Promise<void> {
    try {
      const matcher = await (await this.#grammar)?.start(spec)
      if (matcher === undefined) return
      this.#matchers.set(id, matcher)
      for (const token of tokens) matcher.acceptToken(token)
    } catch (error) {
      return say({ type: 'refused', id, reason: error instanceof Error ? error.message : String(error) })
    }
    await this.#sayMask(id)
  }

  async #sayMask(id: number): Promise<void> {
    const matcher = this.#matchers.get(id)
    if (matcher === undefined) return
    const mask = (await matcher.getNextTokenBitmask()) as Int32Array<ArrayBuffer>
    say({ type: 'mask', id, mask }, [mask.buffer])
  }
}

function say(answer: GrammarAnswer, transfer: Transferable[] = []): void {
  postMessage(answer, { transfer })
}

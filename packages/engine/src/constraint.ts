import type { EngineError } from '@tabserve/protocol'

/**
 * What an answer may say, token by token: a grammar, as the engine sees it. It thinks elsewhere, while the model computes; a sequence whose next
 * token is due before the grammar has said what it may be rests, and others go on.
 */
export interface Constraint {
  /** Bit t mod 32 of word t div 32: token t may come next; what is behind its end may not. `undefined`: not known yet. */
  readonly mask: Int32Array | undefined
  /** Why there is none and never will be. The request fails with it. */
  readonly error: EngineError | undefined
  /** Says which token came; the mask is unknown until the next one is there. */
  accept(token: number): void
  /** `listener` is called when a mask or an error has come. There is one. */
  onChange(listener: () => void): void
  dispose(): void
}

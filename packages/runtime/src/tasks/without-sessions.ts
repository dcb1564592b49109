import { EngineError } from '@tabserve/protocol'

/** What models that keep no KV say to sessions. */
export abstract class WithoutSessions {
  readonly kvLayout = 'none'

  async readSession(): Promise<never> {
    throw refusal()
  }

  async writeSession(): Promise<never> {
    throw refusal()
  }

  shareSession(): never {
    throw refusal()
  }

  releaseSession(): void {} // none was kept
}

function refusal(): EngineError {
  return new EngineError('bad_request', 'Sessions are of models that generate text.')
}

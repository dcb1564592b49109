import { EngineError } from '@tabserve/protocol'

/** The specification's exceptions in place of our errors, which stay as the cause. What it has no name for is passed on as it is. */
export function inTheirWords(error: unknown, signal: AbortSignal | undefined): unknown {
  if (signal?.aborted === true) return signal.reason as unknown
  if (!(error instanceof EngineError)) return error
  const name = NAME_OF[error.code]
  return name === undefined ? error : Object.assign(new DOMException(error.message, name), { cause: error })
}

const NAME_OF: Partial<Record<EngineError['code'], string>> = {
  context_overflow: 'QuotaExceededError',
  unsupported_parameter: 'NotSupportedError',
  aborted: 'AbortError',
  engine_lost: 'InvalidStateError',
  device_lost: 'InvalidStateError',
  network: 'NetworkError',
}

export function notSupported(what: string): DOMException {
  return new DOMException(`${what} is not supported by tabserve yet.`, 'NotSupportedError')
}

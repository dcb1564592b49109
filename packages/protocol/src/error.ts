/** Why something failed. Programs branch on this; the message is for people and says what to do. */
export type ErrorCode =
  | 'bad_request' // the request itself is wrong: an unknown option, an empty prompt, a value out of range
  | 'unsupported_parameter' // the request asks for something that this engine does not do
  | 'context_overflow' // the prompt does not fit the model's context
  | 'model_not_found' // nothing answers at the model's address, or the folder lacks a file
  | 'access_denied' // the model is private or gated: the server wants a token, or another one
  | 'model_not_loaded' // a request names a model that this worker does not hold
  | 'model_asleep' // the model was put to sleep, and requests are not to wait for it
  | 'session_not_found' // no open, or no saved, session has this name, or its KV is gone
  | 'session_mismatch' // a saved session is of another model, version or KV layout than it is to continue on
  | 'bad_model' // the folder is there but is not a model that we can run
  | 'integrity' // a file's bytes are not what the manifest promises
  | 'network' // the download was cut, refused or timed out
  | 'storage' // the browser's storage refused
  | 'memory' // a model, or a second version beside the first, does not fit the memory
  | 'queue_full' // as many requests wait as may, or one that must not wait would have to
  | 'timeout' // a deadline passed before the first step
  | 'backend_failed' // a forward pass failed
  | 'device_lost' // the GPU went away, and nothing else could take its place
  | 'engine_lost' // the worker died
  | 'not_allowed' // a granted port does not cover this, or was revoked
  | 'aborted' // the caller's signal fired

/** An error as it crosses a worker: data, because `structuredClone` drops an error's own fields. */
export interface WireError {
  readonly code: ErrorCode
  readonly message: string
  /** The file that the error is about, as the manifest names it. */
  readonly file?: string
  /** The option that the error is about, as the request names it. */
  readonly param?: string
  /** The node of a pipeline that failed. */
  readonly node?: string
  /** When trying again may help, in milliseconds. Of `queue_full`: an estimate; of `network`: what the server asked for. */
  readonly retryAfterMs?: number
}

/** Messages quote what they are about, and a hostile file has names of any length. */
const LONGEST_MESSAGE = 2000

function clipped(message: string): string {
  return message.length <= LONGEST_MESSAGE ? message : `${message.slice(0, LONGEST_MESSAGE - 1)}…`
}

/** The one error class of tabserve. */
export class EngineError extends Error {
  readonly code: ErrorCode
  readonly file: string | undefined
  readonly param: string | undefined
  readonly node: string | undefined
  readonly retryAfterMs: number | undefined

  constructor(
    code: ErrorCode,
    message: string,
    options: Pick<WireError, 'file' | 'param' | 'node' | 'retryAfterMs'> & { readonly cause?: unknown } = {},
  ) {
    super(clipped(message), 'cause' in options ? { cause: options.cause } : {})
    this.name = 'EngineError'
    this.code = code
    this.file = options.file
    this.param = options.param
    this.node = options.node
    this.retryAfterMs = options.retryAfterMs
  }

  /** As data, for a message. */
  toWire(): WireError {
    const { code, message, file, param, node, retryAfterMs } = this
    return {
      code,
      message,
      ...(file === undefined ? {} : { file }),
      ...(param === undefined ? {} : { param }),
      ...(node === undefined ? {} : { node }),
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    }
  }

  /** The error that was sent. */
  static fromWire({ code, message, ...facts }: WireError): EngineError {
    return new EngineError(code, message, facts)
  }
}

/** Any thrown value as the wire form; what is not ours is a failure of the code named by `fallback`. */
export function toWireError(error: unknown, fallback: ErrorCode): WireError {
  if (error instanceof EngineError) return error.toWire()
  return { code: fallback, message: error instanceof Error ? error.message : String(error) }
}

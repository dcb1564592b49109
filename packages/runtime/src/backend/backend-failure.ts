import { EngineError } from '@tabserve/protocol'

/** What onnxruntime refuses is the model's fault. */
export async function creating<T>(graph: { readonly file: string }, made: Promise<T>): Promise<T> {
  try {
    return await made
  } catch (error) {
    if (error instanceof EngineError) throw error
    const message = `onnxruntime cannot run ${graph.file}: ${messageOf(error)}`
    throw new EngineError('bad_model', message, { file: graph.file, cause: error })
  }
}

export function backendFailed(error: unknown): EngineError {
  const advice = "Check that the worker can fetch onnxruntime's .mjs and .wasm from the `assets` addresses."
  return new EngineError('backend_failed', `onnxruntime did not start: ${messageOf(error)}. ${advice}`, {
    cause: error,
  })
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}

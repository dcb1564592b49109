/** Starts a worker that runs this worker's own file: no second file for bundlers, policies and isolation headers to lose. Its name says what it is for. */
export function siblingWorker(name: string): Worker {
  return new Worker(globalThis.location.href, { type: isModuleWorker() ? 'module' : 'classic', name })
}

/** Only classic workers may call `importScripts`. */
function isModuleWorker(): boolean {
  try {
    globalThis.importScripts()
    return false
  } catch {
    return true // the refusal is the answer
  }
}

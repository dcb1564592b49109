/**
 * Another worker that runs this worker's own file, and knows by its name what it is for: so there is no second file for bundlers, CSP and
 * isolation headers to lose.
 */
export function startOwnWorker(name: string): Worker {
  const type = isModuleWorker() ? 'module' : 'classic'
  return new Worker(globalThis.location.href, { type, name })
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

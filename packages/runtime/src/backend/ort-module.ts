/**
 * The door to onnxruntime-web's own WebAssembly module, below its public API.
 *
 * The public API copies every feed into the heap and every output out of it. This interface, which the package's own
 * JavaScript uses, takes tensors over heap memory as they are. It is internal: the package's version is pinned, `startOrt`
 * checks that every function is there, and `ort-probe.ts` checks that they do what we believe.
 */
export interface OrtModule {
  readonly HEAPU8: Uint8Array<ArrayBufferLike>
  readonly HEAP32: Int32Array<ArrayBufferLike>
  _malloc(bytes: number): number
  _free(pointer: number): void
  stackSave(): number
  stackAlloc(bytes: number): number
  stackRestore(stack: number): void
  UTF8ToString(pointer: number): string
  lengthBytesUTF8(text: string): number
  stringToUTF8(text: string, pointer: number, bytes: number): void
  mountExternalData(path: string, data: Uint8Array): void
  unmountExternalData(): void
  _OrtInit(threads: number, logLevel: number): number
  _OrtGetLastError(codeOut: number, messageOut: number): number
  _OrtCreateSessionOptions(
    optimizationLevel: number,
    arena: boolean,
    memoryPattern: boolean,
    executionMode: number,
    profiling: boolean,
    profilePrefix: number,
    logId: number,
    logSeverity: number,
    logVerbosity: number,
    optimizedPath: number,
  ): number
  _OrtReleaseSessionOptions(options: number): number
  _OrtCreateSession(data: number, bytes: number, options: number): number | Promise<number>
  _OrtReleaseSession(session: number): number
  _OrtGetInputOutputCount(session: number, inputsOut: number, outputsOut: number): number
  _OrtGetInputOutputMetadata(session: number, index: number, nameOut: number, metadataOut: number): number
  _OrtFree(pointer: number): number
  _OrtCreateTensor(
    type: number,
    data: number,
    bytes: number,
    dims: number,
    rank: number,
    location: number,
  ): number
  _OrtReleaseTensor(tensor: number): number
  _OrtRun(
    session: number,
    inputNames: number,
    inputs: number,
    inputCount: number,
    outputNames: number,
    outputCount: number,
    outputs: number,
    options: number,
  ): number | Promise<number>
}

const FUNCTIONS = [
  '_malloc',
  '_free',
  'stackSave',
  'stackAlloc',
  'stackRestore',
  'UTF8ToString',
  'lengthBytesUTF8',
  'stringToUTF8',
  'mountExternalData',
  'unmountExternalData',
  '_OrtInit',
  '_OrtGetLastError',
  '_OrtCreateSessionOptions',
  '_OrtReleaseSessionOptions',
  '_OrtCreateSession',
  '_OrtReleaseSession',
  '_OrtGetInputOutputCount',
  '_OrtGetInputOutputMetadata',
  '_OrtFree',
  '_OrtCreateTensor',
  '_OrtReleaseTensor',
  '_OrtRun',
] as const satisfies readonly (keyof OrtModule)[]

const LOG_WARNINGS = 2

/**
 * Starts one onnxruntime instance. Rejects with a plain `Error` when the module cannot be fetched or is not the one that
 * we know; the caller decides whether the public API will do instead.
 * @param threads more than 1 needs cross-origin isolation.
 */
export async function startOrt(assets: { mjs: string; wasm: string }, threads: number): Promise<OrtModule> {
  const script = threads > 1 ? await ownCopy(assets.mjs) : assets.mjs
  const { default: factory } = (await import(/* @vite-ignore */ /* webpackIgnore: true */ script)) as {
    default: (options: object) => Promise<OrtModule>
  }
  const module = await factory({ numThreads: threads, locateFile: () => assets.wasm })
  const missing = FUNCTIONS.filter((name) => typeof module[name] !== 'function')
  if (missing.length > 0) throw new Error(`onnxruntime-web's module lacks ${missing.join(', ')}`)
  if (module._OrtInit(threads, LOG_WARNINGS) !== 0) throw lastError(module, 'onnxruntime did not start')
  return module
}

/** Its threads run its own script, and browsers start workers from the page's origin only. */
async function ownCopy(address: string): Promise<string> {
  if (new URL(address).origin === globalThis.origin) return address
  const response = await fetch(address)
  if (!response.ok) throw new Error(`${address} answered ${response.status}`)
  return URL.createObjectURL(new Blob([await response.arrayBuffer()], { type: 'text/javascript' }))
}

/** What onnxruntime says went wrong in the last call that returned a failure. */
export function lastError(module: OrtModule, what: string): Error {
  const stack = module.stackSave()
  try {
    const out = module.stackAlloc(8)
    module._OrtGetLastError(out, out + 4)
    const message = module.HEAP32[(out + 4) >> 2] ?? 0
    return new Error(`${what}: ${message === 0 ? 'no reason given' : module.UTF8ToString(message)}`)
  } finally {
    module.stackRestore(stack)
  }
}

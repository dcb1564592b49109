import type { OrtModule } from './ort-module.ts'
import { lastError } from './ort-module.ts'

/** An OrtValue over heap memory that we own. Releasing it leaves the memory alone. */
export type TensorHandle = number

/** onnxruntime's element types, by their C number. */
export const ELEMENT = { float32: 1, int32: 6, int64: 7, float16: 10 } as const

const OPTIMIZE_ALL = 99
const SEQUENTIAL = 0
const LOG_ERRORS = 3
const LOCATION_CPU = 1

/**
 * One onnxruntime session whose inputs and outputs are tensors over heap memory. Nothing is copied in or out.
 * After any call the heap may have grown: take views anew from the module, never keep one.
 */
export class HeapSession {
  readonly inputNames: readonly string[]
  readonly outputNames: readonly string[]
  readonly #module: OrtModule
  readonly #session: number
  /** Four tables of pointers, allocated once: names and values of the inputs, names and values of the outputs. */
  readonly #tables: number
  readonly #names: readonly number[]

  /** Rejects with a plain `Error` when onnxruntime refuses the model. `graph` and `externalData` may be dropped afterwards. */
  static async create(
    module: OrtModule,
    graph: Uint8Array,
    externalData: ReadonlyMap<string, Uint8Array>,
  ): Promise<HeapSession> {
    for (const [path, bytes] of externalData) module.mountExternalData(path, bytes)
    const data = allocate(module, graph.byteLength)
    const options = module._OrtCreateSessionOptions(
      OPTIMIZE_ALL,
      true,
      true,
      SEQUENTIAL,
      false,
      0,
      0,
      LOG_ERRORS,
      0,
      0,
    )
    try {
      if (options === 0) throw lastError(module, 'session options were refused')
      module.HEAPU8.set(graph, data)
      const session = await module._OrtCreateSession(data, graph.byteLength, options)
      if (session === 0) throw lastError(module, 'the graph was refused')
      return new HeapSession(module, session)
    } finally {
      module._free(data)
      if (options !== 0) module._OrtReleaseSessionOptions(options)
      module.unmountExternalData()
    }
  }

  private constructor(module: OrtModule, session: number) {
    this.#module = module
    this.#session = session
    const [numInputs, numOutputs] = this.#counts()
    this.#names = Array.from({ length: numInputs + numOutputs }, (_, index) => this.#namePointer(index))
    const names = this.#names.map((pointer) => module.UTF8ToString(pointer))
    this.inputNames = names.slice(0, numInputs)
    this.outputNames = names.slice(numInputs)
    this.#tables = allocate(module, 4 * 2 * names.length)
    module.HEAP32.set(this.#names, this.#tables >> 2)
  }

  /** Runs the graph. `inputs` and `outputs` in the order of the names; an output may be the same tensor as an input. */
  async run(inputs: readonly TensorHandle[], outputs: readonly TensorHandle[]): Promise<void> {
    const module = this.#module
    const values = this.#tables + 4 * this.#names.length
    module.HEAP32.set(inputs, values >> 2)
    module.HEAP32.set(outputs, (values >> 2) + inputs.length)
    const failed = await module._OrtRun(
      this.#session,
      this.#tables,
      values,
      inputs.length,
      this.#tables + 4 * inputs.length,
      outputs.length,
      values + 4 * inputs.length,
      0,
    )
    if (failed !== 0) throw lastError(module, 'a forward pass failed')
  }

  dispose(): void {
    for (const name of this.#names) this.#module._OrtFree(name)
    this.#module._free(this.#tables)
    this.#module._OrtReleaseSession(this.#session)
  }

  #counts(): readonly [number, number] {
    const { module, stack, out } = this.#out()
    try {
      if (module._OrtGetInputOutputCount(this.#session, out, out + 4) !== 0)
        throw lastError(module, 'no input count')
      return [module.HEAP32[out >> 2] ?? 0, module.HEAP32[(out + 4) >> 2] ?? 0]
    } finally {
      module.stackRestore(stack)
    }
  }

  #namePointer(index: number): number {
    const { module, stack, out } = this.#out()
    try {
      if (module._OrtGetInputOutputMetadata(this.#session, index, out, out + 4) !== 0)
        throw lastError(module, 'no input name')
      module._OrtFree(module.HEAP32[(out + 4) >> 2] ?? 0)
      return module.HEAP32[out >> 2] ?? 0
    } finally {
      module.stackRestore(stack)
    }
  }

  #out() {
    const module = this.#module
    const stack = module.stackSave()
    return { module, stack, out: module.stackAlloc(8) }
  }
}

/** Heap memory that we own. Throws when the heap cannot grow. */
export function allocate(module: OrtModule, bytes: number): number {
  const pointer = module._malloc(bytes)
  if (pointer === 0) throw new Error(`the wasm heap has no room for ${bytes} bytes`)
  return pointer
}

/** A tensor over `bytes` of heap memory at `data`, without a copy. */
export function heapTensor(
  module: OrtModule,
  type: number,
  data: number,
  bytes: number,
  dims: readonly number[],
): TensorHandle {
  const stack = module.stackSave()
  try {
    const shape = module.stackAlloc(4 * Math.max(1, dims.length))
    module.HEAP32.set(dims, shape >> 2)
    const tensor = module._OrtCreateTensor(type, data, bytes, shape, dims.length, LOCATION_CPU)
    if (tensor === 0) throw lastError(module, `no tensor of shape [${dims.join(', ')}]`)
    return tensor
  } finally {
    module.stackRestore(stack)
  }
}

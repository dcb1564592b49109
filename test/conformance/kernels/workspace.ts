import type { Address, KernelExports, MatrixKind } from '@tabserve/kernels'
import { MATRIX_KIND } from '@tabserve/kernels'

/** Kernels over a memory of their own, and room in it: how tests put numbers in and take them out. */
export class Workspace {
  readonly kernels: KernelExports
  readonly #memory: WebAssembly.Memory
  #next = 65536

  private constructor(kernels: KernelExports, memory: WebAssembly.Memory) {
    this.kernels = kernels
    this.#memory = memory
  }

  static async create(wasm: BufferSource, shared: boolean): Promise<Workspace> {
    const memory = new WebAssembly.Memory({ initial: 512, maximum: 1024, shared })
    const { instance } = await WebAssembly.instantiate(wasm, { env: { memory } })
    return new Workspace(instance.exports as unknown as KernelExports, memory)
  }

  /** Zeroed, on a 64-byte boundary. */
  allocate(bytes: number): Address {
    const address = this.#next
    this.#next += (bytes + 127) & -64
    return address
  }

  put(
    values: Float32Array | Int32Array | Uint32Array | Int8Array | Uint8Array | Uint16Array,
    room = 0,
  ): Address {
    const address = this.allocate(Math.max(values.byteLength, room))
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength)
    new Uint8Array(this.#memory.buffer, address, bytes.length).set(bytes)
    return address
  }

  floats(address: Address, count: number): Float32Array {
    return new Float32Array(this.#memory.buffer, address, count)
  }

  ints(address: Address, count: number): Int32Array {
    return new Int32Array(this.#memory.buffer, address, count)
  }

  /** Room for a matrix and its record; nothing in it yet. */
  matrix(kind: MatrixKind, rows: number, columns: number, options: MatrixOptions = {}): Address {
    const { kernels } = this
    const record = this.allocate(kernels.MATRIX_BYTES.value as number)
    const { scaleStep = 0, scaleFactor = 1, bias = 0 } = options
    const set = (values: Address, scales: Address) =>
      kernels.setMatrix(record, kind, rows, columns, values, scales, scaleStep, scaleFactor, bias)
    set(0, 0)
    const hasScales = kind === MATRIX_KIND.int8 || kind === MATRIX_KIND.uint4
    const scales = hasScales ? this.allocate(kernels.scalesBytes(record)) : 0
    set(this.allocate(kernels.valuesBytes(record)), scales)
    if (kind === MATRIX_KIND.int8) this.#scalesOf.set(record, scales)
    return record
  }

  /** Where the f32 scales of an int8 matrix lie. */
  scalesOf(matrix: Address): Address {
    return this.#scalesOf.get(matrix) ?? 0
  }

  readonly #scalesOf = new Map<Address, Address>()
}

export interface MatrixOptions {
  readonly scaleStep?: number
  readonly scaleFactor?: number
  readonly bias?: Address
}

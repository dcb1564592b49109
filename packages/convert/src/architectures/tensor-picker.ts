import type { StoredTensor } from '../checkpoint/stored-tensor.ts'
import { ConvertError } from '../convert-error.ts'
import type { Matrix } from '../graph/matrix.ts'

/** Takes weights out of a checkpoint by name and shape, and knows at the end which were not taken. */
export class TensorPicker {
  readonly #tensors: ReadonlyMap<string, StoredTensor>
  readonly #addedToNorms: number
  readonly #left: Set<string>

  constructor(tensors: ReadonlyMap<string, StoredTensor>, addedToNorms: number) {
    this.#tensors = tensors
    this.#addedToNorms = addedToNorms
    this.#left = new Set(tensors.keys())
  }

  has(name: string): boolean {
    return this.#tensors.has(`${name}.weight`)
  }

  /** A matrix is read later, its bias now. */
  matrix(name: string, stored: string, rows: number, columns: number): Matrix {
    const { read, blocks } = this.#take(`${stored}.weight`, [rows, columns])
    const bias = this.#tensors.has(`${stored}.bias`)
      ? this.#take(`${stored}.bias`, [rows]).read(0, rows)
      : undefined
    return { name, rows, columns, read, blocks, bias }
  }

  /** Final factors. */
  norm(stored: string, size: number): Float32Array {
    const weights = this.#take(`${stored}.weight`, [size]).read(0, size)
    return weights.map((weight) => weight + this.#addedToNorms)
  }

  /** A weight that nobody took would have changed what the model says. */
  end(ignored: RegExp): void {
    const unknown = [...this.#left].filter((name) => !ignored.test(name))
    if (unknown.length > 0)
      throw new ConvertError(
        `the checkpoint has ${unknown.length} tensors that this architecture does not, ${JSON.stringify(unknown[0]?.slice(0, 100))} first`,
      )
  }

  #take(name: string, shape: readonly number[]): StoredTensor {
    const tensor = this.#tensors.get(name)
    if (tensor === undefined) throw new ConvertError(`the checkpoint has no tensor ${name}`)
    if (tensor.shape.join() !== shape.join())
      throw new ConvertError(
        `the tensor ${name} is [${tensor.shape.join(', ')}], and the configuration says [${shape.join(', ')}]`,
      )
    this.#left.delete(name)
    return tensor
  }
}

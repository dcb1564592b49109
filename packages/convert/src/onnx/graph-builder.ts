import type { TensorDtype, TensorEntry } from '@tabserve/protocol'
import { ATTRIBUTE_TYPE, DATA_TYPE, EXTERNAL, onnxModel } from './schema.ts'
import type { AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto } from './schema.ts'
import { ExternalData } from './external-data.ts'
import type { Extent } from './external-data.ts'
import { ELEMENT_BYTES, bytesOf, elementTypeOf } from './tensor-data.ts'
import type { ElementType, TensorData } from './tensor-data.ts'

/** A number is a whole-number attribute; a fraction must say so, for ONNX tells them apart. */
export type Attributes = Readonly<Record<string, number | { readonly float: number } | readonly number[]>>
/** A fixed size, or the name of a size that a caller chooses. */
export type Dimension = number | string

export interface NodeOptions {
  readonly domain?: string
  readonly attributes?: Attributes
  readonly outputs?: readonly string[]
}

/** A tensor that is made when the file is written, and what it is called in the manifest where that is not what it is in the graph. */
export interface WeightSource {
  readonly type: ElementType
  readonly dims: readonly number[]
  readonly produce: () => Iterable<Uint8Array>
  readonly listed?: { readonly dtype: TensorDtype; readonly shape: readonly number[] }
}

export interface BuiltModel {
  readonly model: Uint8Array
  readonly externalData: ExternalData
  readonly tensors: readonly TensorEntry[]
}

/**
 * Writes an ONNX graph node by node; every method returns the name of what it made.
 * Weights, and other tensors of a kilobyte and more, go to the external data file, so that a runtime need not hold them twice while it loads.
 */
export class GraphBuilder {
  readonly #externalPath: string
  readonly #external = new ExternalData()
  readonly #nodes: NodeProto[] = []
  readonly #initializers = new Map<string, TensorProto>()
  readonly #extents = new Map<string, Extent>()
  readonly #entries: TensorEntry[] = []
  readonly #inputs: ValueInfoProto[] = []
  readonly #outputs: ValueInfoProto[] = []

  constructor(externalPath: string) {
    this.#externalPath = externalPath
  }

  input(name: string, type: ElementType, shape: readonly Dimension[]): string {
    this.#inputs.push(valueInfo(name, type, shape))
    return name
  }

  output(name: string, type: ElementType, shape: readonly Dimension[]): void {
    this.#outputs.push(valueInfo(name, type, shape))
  }

  /** Adds a node named like its first output (`name`); an absent optional input is `''`. */
  node(opType: string, name: string, inputs: readonly string[], options: NodeOptions = {}): string {
    this.#nodes.push({
      name,
      opType,
      domain: options.domain ?? '',
      input: inputs,
      output: options.outputs ?? [name],
      attribute: Object.entries(options.attributes ?? {}).map(([key, value]) => attribute(key, value)),
    })
    return name
  }

  /** Adds a constant. Adding the same name again is a no-op: shared constants are asked for where they are used. */
  constant(name: string, data: TensorData, dims: readonly number[]): string {
    if (this.#initializers.has(name)) return name
    const type = elementTypeOf(data)
    if (data.byteLength >= INLINE_BYTES) return this.#store(name, type, dims, () => [bytesOf(data)])
    this.#initializers.set(name, { name, dims, dataType: DATA_TYPE[type], rawData: bytesOf(data) })
    return name
  }

  /**
   * Adds a weight, however small, to the external data file, and lists it for runners that read weights without the graph. Adding
   * the same name again is a no-op.
   */
  weight(name: string, { type, dims, produce, listed }: WeightSource): string {
    if (this.#initializers.has(name)) return name
    this.#store(name, type, dims, produce)
    const { offset } = this.#extentOf(name)
    const { dtype, shape } = listed ?? { dtype: 'float32', shape: dims }
    this.#entries.push({ name, dtype, shape, file: this.#externalPath, offset })
    return name
  }

  /** A weight of float32 that is at hand. */
  vector(name: string, data: Float32Array, dims: readonly number[] = [data.length]): string {
    return this.weight(name, { type: 'float32', dims, produce: () => [bytesOf(data)] })
  }

  /** A second look at bytes of an external constant, in another shape: downloaded and stored once. */
  view(name: string, of: string, dims: readonly number[], byteOffset: number, byteLength: number): string {
    const original = this.#initializers.get(of)
    const extent = this.#extents.get(of)
    if (original === undefined) throw new Error(`there is no constant ${of}`)
    if (extent === undefined) {
      const rawData = original.rawData?.subarray(byteOffset, byteOffset + byteLength) ?? new Uint8Array()
      this.#initializers.set(name, { name, dims, dataType: original.dataType, rawData })
    } else {
      const part = { offset: extent.offset + byteOffset, length: byteLength }
      this.#initializers.set(name, this.#externalTensor(name, original.dataType, dims, part))
    }
    return name
  }

  scalar(value: number): string {
    return this.constant(`const.${value}`, new Float32Array([value]), [])
  }

  ints(values: readonly number[]): string {
    return this.constant(`ints.${values.join('_')}`, BigInt64Array.from(values.map(BigInt)), [values.length])
  }

  build(graphName: string): BuiltModel {
    const model: ModelProto = {
      irVersion: 10,
      producerName: 'tabserve',
      opsetImport: [
        { domain: '', version: 21 },
        { domain: 'com.microsoft', version: 1 },
      ],
      graph: {
        name: graphName,
        node: this.#nodes,
        initializer: this.#usedInitializers(),
        input: this.#inputs,
        output: this.#outputs,
      },
    }
    return { model: onnxModel.encode(model), externalData: this.#external, tensors: this.#entries }
  }

  /** A constant that only views look at needs its bytes, not its name; onnxruntime warns about names that nobody uses. */
  #usedInitializers(): TensorProto[] {
    const used = new Set(this.#nodes.flatMap((node) => node.input))
    return [...this.#initializers.values()].filter(({ name }) => used.has(name))
  }

  #store(
    name: string,
    type: ElementType,
    dims: readonly number[],
    produce: () => Iterable<Uint8Array>,
  ): string {
    const length = dims.reduce((product, size) => product * size, ELEMENT_BYTES[type])
    const extent = this.#external.append(length, produce)
    this.#extents.set(name, extent)
    this.#initializers.set(name, this.#externalTensor(name, DATA_TYPE[type], dims, extent))
    return name
  }

  #extentOf(name: string): Extent {
    const extent = this.#extents.get(name)
    if (extent === undefined) throw new Error(`${name} is not in the external data file`)
    return extent
  }

  #externalTensor(
    name: string,
    dataType: number,
    dims: readonly number[],
    { offset, length }: Extent,
  ): TensorProto {
    const externalData = [
      { key: 'location', value: this.#externalPath },
      { key: 'offset', value: String(offset) },
      { key: 'length', value: String(length) },
    ]
    return { name, dims, dataType, dataLocation: EXTERNAL, externalData }
  }
}

const INLINE_BYTES = 1024

function attribute(name: string, value: Attributes[string]): AttributeProto {
  if (typeof value === 'number') return { name, type: ATTRIBUTE_TYPE.int, i: value }
  if ('float' in value) return { name, type: ATTRIBUTE_TYPE.float, f: value.float }
  return { name, type: ATTRIBUTE_TYPE.ints, ints: value }
}

function valueInfo(name: string, type: ElementType, shape: readonly Dimension[]): ValueInfoProto {
  const dim = shape.map((size) => (typeof size === 'number' ? { dimValue: size } : { dimParam: size }))
  return { name, type: { tensorType: { elemType: DATA_TYPE[type], shape: { dim } } } }
}

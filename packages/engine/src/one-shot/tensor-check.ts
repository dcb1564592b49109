import type { TensorSpec, TensorValue, Tensors } from '@tabserve/protocol'
import { EngineError, TENSOR_ARRAYS, elementsOf } from '@tabserve/protocol'

/**
 * Refuses tensors that a graph does not take: throws `bad_request`, which names the tensor, what is wanted and what came. Afterwards every tensor is there
 * and whole, and a named size is the same in all of them.
 * @param what the tensors are, for the message: `input`.
 */
export function checkTensors(tensors: Tensors, specs: readonly TensorSpec[], what: string): void {
  if (typeof tensors !== 'object' || tensors === null)
    throw new EngineError('bad_request', `${what}s must be an object of named tensors.`, {
      param: `${what}s`,
    })
  const known = new Set(specs.map(({ name }) => name))
  const unknown = Object.keys(tensors).find((name) => !known.has(name))
  if (unknown !== undefined) {
    const message = `There is no ${what} ${unknown}. There are: ${[...known].join(', ') || 'none'}.`
    throw new EngineError('bad_request', message, { param: `${what}s.${unknown}` })
  }
  const sizes = new Map<string, NamedSize>()
  for (const spec of specs) {
    const tensor = tensors[spec.name]
    const problem = tensor === undefined ? 'nothing' : problemOf(tensor, spec, sizes)
    if (problem === undefined) continue
    const message = `The ${what} ${spec.name} must be ${specText(spec)}, not ${problem}.`
    throw new EngineError('bad_request', message, { param: `${what}s.${spec.name}` })
  }
}

/** `FP32 [batch, 3, 224, 224]` */
export function specText({ datatype, shape }: TensorSpec): string {
  return shape === undefined ? datatype : `${datatype} [${shape.join(', ')}]`
}

interface NamedSize {
  readonly size: number
  readonly tensor: string
}

function problemOf(tensor: TensorValue, spec: TensorSpec, sizes: Map<string, NamedSize>): string | undefined {
  const { datatype, shape, data } = (tensor ?? {}) as Partial<TensorValue>
  if (!Array.isArray(shape) || !shape.every((size) => Number.isSafeInteger(size) && size >= 0))
    return `a tensor whose shape is ${JSON.stringify(shape)}`
  const got = `${String(datatype)} [${shape.join(', ')}]`
  if (datatype !== spec.datatype) return got
  const numElements = elementsOf(shape)
  const dataProblem = arrayProblem(spec.datatype, data, numElements)
  if (dataProblem !== undefined) return `${got} with ${dataProblem}`
  return shapeProblem(shape, spec, got, sizes)
}

function arrayProblem(
  datatype: TensorSpec['datatype'],
  data: unknown,
  numElements: number,
): string | undefined {
  if (datatype === 'BYTES') {
    const isTexts = Array.isArray(data) && data.every((text) => typeof text === 'string')
    if (!isTexts) return 'data that is no list of strings'
  } else if (!(data instanceof TENSOR_ARRAYS[datatype]))
    return `data that is no ${TENSOR_ARRAYS[datatype].name}`
  const { length } = data as { readonly length: number }
  return length === numElements ? undefined : `${length} elements instead of ${numElements}`
}

function shapeProblem(
  shape: readonly number[],
  { name, shape: wanted }: TensorSpec,
  got: string,
  sizes: Map<string, NamedSize>,
): string | undefined {
  if (wanted === undefined) return undefined
  if (shape.length !== wanted.length) return got
  for (const [axis, size] of shape.entries()) {
    const want = wanted[axis]
    if (typeof want === 'number' && want !== size) return got
    if (typeof want !== 'string' || want === '?') continue
    const known = sizes.get(want)
    if (known !== undefined && known.size !== size)
      return `${got}: ${want} is ${known.size} in ${known.tensor}`
    sizes.set(want, { size, tensor: name })
  }
  return undefined
}

import { ConvertError } from '../convert-error.ts'

export interface Llama2cHeader {
  readonly version: 0 | 1 | 2
  readonly dim: number
  readonly hiddenDim: number
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly vocabSize: number
  readonly contextLength: number
  readonly sharedClassifier: boolean
  /** Weights that share one scale; version 2 only, else 0. */
  readonly groupSize: number
  /** Where the weights begin, in bytes. */
  readonly weightsOffset: number
}

/** Version 0 has seven int32 and no magic; versions 1 and 2 begin with 'ak42', a version, and fill 256 bytes. */
export function readHeader(bytes: Uint8Array): Llama2cHeader {
  if (bytes.byteLength < 256) throw notLlama2c(`it has only ${bytes.byteLength} bytes`)
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const header = view.getUint32(0, true) === MAGIC ? versioned(view) : legacy(view)
  const problem = headerProblem(header)
  if (problem !== undefined) throw notLlama2c(problem)
  return header
}

const MAGIC = 0x616b3432
const VERSIONED_BYTES = 256

function legacy(view: DataView): Llama2cHeader {
  const vocabSize = view.getInt32(20, true)
  return {
    version: 0,
    ...shape(view, 0),
    vocabSize: Math.abs(vocabSize),
    sharedClassifier: vocabSize > 0, // the sign says it
    groupSize: 0,
    weightsOffset: 28,
  }
}

function versioned(view: DataView): Llama2cHeader {
  const version = view.getInt32(4, true)
  if (version !== 1 && version !== 2) throw notLlama2c(`its version ${version} is not one of 0, 1, 2`)
  return {
    version,
    ...shape(view, 8),
    sharedClassifier: view.getUint8(36) !== 0,
    groupSize: version === 2 ? view.getInt32(37, true) : 0,
    weightsOffset: VERSIONED_BYTES,
  }
}

function shape(view: DataView, offset: number) {
  const int = (index: number): number => view.getInt32(offset + 4 * index, true)
  return {
    dim: int(0),
    hiddenDim: int(1),
    layers: int(2),
    heads: int(3),
    kvHeads: int(4),
    vocabSize: int(5),
    contextLength: int(6),
  }
}

function headerProblem(header: Llama2cHeader): string | undefined {
  const { dim, hiddenDim, layers, heads, kvHeads, vocabSize, contextLength, groupSize, version } = header
  for (const [name, value] of Object.entries({
    dim,
    hiddenDim,
    layers,
    heads,
    kvHeads,
    vocabSize,
    contextLength,
  })) {
    if (value < 1 || value > 10_000_000) return `its header says ${name} = ${value}`
  }
  if (dim % heads !== 0 || (dim / heads) % 2 !== 0)
    return `its width ${dim} is not ${heads} heads of an even size`
  if (heads % kvHeads !== 0) return `its ${heads} heads do not share ${kvHeads} KV heads evenly`
  // Groups run through a whole matrix, over the ends of its rows: the hidden width need not be a multiple.
  if (version === 2 && (groupSize < 1 || dim % groupSize !== 0)) {
    return `its group size ${groupSize} does not divide its width ${dim}`
  }
  return undefined
}

function notLlama2c(reason: string): ConvertError {
  return new ConvertError(`this is not a llama2.c checkpoint: ${reason}`)
}

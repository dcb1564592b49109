import { BYTES_PER_ELEMENT, tensorBytes, weightSlots } from './decoder-tensors.ts'
import type { WeightSlot } from './decoder-tensors.ts'
import { isCount, isIndex, isRecord } from './json-shape.ts'
import type { DecoderGraph, DecoderTraits, GenerateManifest, ManifestFile, TensorEntry } from './manifest.ts'

/**
 * Says what is wrong with `graph.decoder` of a manifest whose other parts were found good, or `undefined`. After that a runner may
 * read every tensor where the list says it is, and has every tensor that it needs.
 */
export function decoderProblem({ graph, files }: GenerateManifest): string | undefined {
  if (graph.kind !== 'decoder-gqa') return undefined
  const traits: unknown = graph.decoder
  if (traits === undefined) return undefined
  if (!isRecord(traits)) return '"graph.decoder" must be an object'
  return (
    numbersProblem(traits) ??
    headsProblem(graph) ??
    layersProblem(traits, graph.layers) ??
    entriesProblem(traits['tensors'], files) ??
    slotsProblem(graph, traits as unknown as DecoderTraits)
  )
}

function numbersProblem(traits: Readonly<Record<string, unknown>>): string | undefined {
  if (!isCount(traits['feedForwardSize'])) return said('feedForwardSize', 'must be a positive whole number')
  for (const key of ['normEpsilon', 'attentionScale', 'embeddingScale']) {
    if (!isPositive(traits[key])) return said(key, 'must be a positive number')
  }
  for (const key of ['attentionSoftcap', 'logitsSoftcap']) {
    if (traits[key] !== undefined && !isPositive(traits[key]))
      return said(key, 'must be a positive number or absent')
  }
  const activation = traits['activation']
  if (activation !== 'silu' && activation !== 'gelu-tanh')
    return said('activation', 'must be silu or gelu-tanh')
  return undefined
}

function headsProblem({ heads, kvHeads, headDim }: DecoderGraph): string | undefined {
  if (headDim % 2 !== 0) return '"graph.headDim" must be even: rotary turns pairs'
  return heads % kvHeads === 0 ? undefined : '"graph.heads" must be a multiple of "graph.kvHeads"'
}

/** Comes before anything that counts to `layers`: a list that long is in the file, so the number is harmless. */
function layersProblem(
  { windows, rotaries }: Readonly<Record<string, unknown>>,
  layers: number,
): string | undefined {
  if (!Array.isArray(windows) || windows.length !== layers || !windows.every(isIndex))
    return said('windows', `must be a list of ${layers} whole numbers from 0 up, one a layer`)
  if (!Array.isArray(rotaries) || rotaries.length !== layers || !rotaries.every(isRotary))
    return said('rotaries', `must be a list of ${layers} names, one a layer: rotary or rotary_local`)
  return undefined
}

function entriesProblem(tensors: unknown, files: readonly ManifestFile[]): string | undefined {
  if (!Array.isArray(tensors)) return said('tensors', 'must be a list')
  const bytesOf = new Map(files.map(({ path, bytes }) => [path, bytes]))
  const seen = new Set<string>()
  for (const entry of tensors as readonly unknown[]) {
    if (!isRecord(entry) || typeof entry['name'] !== 'string')
      return said('tensors', 'has an entry without a name')
    const name = entry['name']
    if (seen.has(name)) return `the tensor ${JSON.stringify(name)} is listed twice`
    seen.add(name)
    const problem = entryProblem(entry, bytesOf)
    if (problem !== undefined) return `the tensor ${JSON.stringify(name)} ${problem}`
  }
  return undefined
}

function entryProblem(
  { dtype, shape, file, offset }: Readonly<Record<string, unknown>>,
  bytesOf: ReadonlyMap<string, number>,
): string | undefined {
  if (!isDtype(dtype)) return `has a dtype that is not one of ${Object.keys(BYTES_PER_ELEMENT).join(', ')}`
  if (!Array.isArray(shape) || shape.length < 1 || shape.length > 3 || !shape.every(isCount))
    return 'needs a shape of one to three positive whole numbers'
  const fileBytes = typeof file === 'string' ? bytesOf.get(file) : undefined
  if (fileBytes === undefined) return 'lies in a file that "files" does not list'
  if (!isIndex(offset) || offset % ALIGNMENT !== 0)
    return `needs an "offset" that is a multiple of ${ALIGNMENT}`
  if (dtype === 'uint4' && (shape.length !== 2 || (shape[1] as number) % Q4_BLOCK !== 0))
    return `has no whole blocks of ${Q4_BLOCK} along its inputs`
  // A product of huge sizes is imprecise or infinite, and larger than any file all the same.
  const end = offset + tensorBytes({ dtype, shape: shape as number[] })
  return end <= fileBytes ? undefined : `ends after its file of ${fileBytes} bytes`
}

function slotsProblem(graph: DecoderGraph, traits: DecoderTraits): string | undefined {
  const left = new Map(traits.tensors.map((entry) => [entry.name, entry]))
  for (const slot of weightSlots(graph, traits)) {
    const entry = left.get(slot.name)
    left.delete(slot.name)
    if (entry === undefined && !slot.optional) return `the tensor "${slot.name}" is missing`
    const problem = entry === undefined ? undefined : slotProblem(slot, entry, left)
    if (problem !== undefined) return `the tensor "${slot.name}" ${problem}`
  }
  // One that we do not know would change what the decoder computes.
  const [unknown] = left.keys()
  return unknown === undefined
    ? undefined
    : `the tensor ${JSON.stringify(unknown)} is none that this build knows`
}

/** Takes the scales of a quantised matrix off the list. */
function slotProblem(
  { name, kind, shape }: WeightSlot,
  entry: TensorEntry,
  left: Map<string, TensorEntry>,
): string | undefined {
  if (kind !== 'matrix') {
    const fits = entry.dtype === 'float32' && entry.shape.join() === shape.join()
    return fits ? undefined : `must be float32 [${shape.join(', ')}]`
  }
  const [outputs = 0, inputs = 0] = shape
  if (!isMatrix(entry, outputs, inputs))
    return `must be [${outputs}, ${inputs}], or [parts, ${inputs}, ${outputs}/parts]`
  if (entry.dtype === 'float32' || entry.dtype === 'float16') return undefined
  const scales = `${name.replace(/\.weight$/, '')}.scales`
  const expected = entry.dtype === 'int8' ? [outputs] : [outputs, inputs / Q4_BLOCK]
  const found = left.get(scales)
  left.delete(scales)
  return found?.dtype === 'float32' && found.shape.join() === expected.join()
    ? undefined
    : `needs "${scales}", float32 [${expected.join(', ')}]`
}

function isMatrix({ shape }: TensorEntry, outputs: number, inputs: number): boolean {
  const [first = 0, second = 0, third = 0] = shape
  if (shape.length === 2) return first === outputs && second === inputs
  return shape.length === 3 && second === inputs && first * third === outputs
}

function said(key: string, problem: string): string {
  return `"graph.decoder.${key}" ${problem}`
}

function isPositive(value: unknown): boolean {
  return typeof value === 'number' && Number.isFinite(value) && value > 0
}

function isRotary(value: unknown): boolean {
  return value === 'rotary' || value === 'rotary_local'
}

function isDtype(value: unknown): value is TensorEntry['dtype'] {
  return typeof value === 'string' && Object.hasOwn(BYTES_PER_ELEMENT, value)
}

const ALIGNMENT = 64
const Q4_BLOCK = 32

import type { HubChoice, HubDtype } from '@tabserve/protocol'
import { DTYPE_SUFFIXES, EngineError } from '@tabserve/protocol'
import type { HubFile, Listing } from './listing.ts'

/** What a model's graphs are called in `onnx/`, before the ending of their dtype, by the names that a manifest has for them; `main` is its `graph`. */
export type GraphNames = Readonly<Record<string, string>> & { readonly main: string }

/** A graph, and the files that its tensors lie in. */
export interface GraphFiles {
  readonly graph: HubFile
  readonly externalData: readonly HubFile[]
}

/** One dtype's weights: the main graph's, and those of further graphs. */
export interface Weights extends GraphFiles {
  readonly dtype: HubDtype
  readonly graphs: Readonly<Record<string, GraphFiles>>
}

export interface ChosenWeights extends Weights {
  readonly reason: string
  /** The dtypes that are there, as far as it is known. */
  readonly choices: readonly HubChoice[]
}

/**
 * For onnxruntime on the CPU, best first. Eight bits are multiplied as whole numbers; four are unpacked to floats for every product, which costs more than
 * the bytes that it saves; what is half precision is widened at every step, or has no kernel.
 */
const CPU_ORDER: readonly HubDtype[] = ['q8', 'int8', 'uint8', 'q4', 'fp32', 'bnb4', 'q4f16', 'fp16']

const REASONS: Readonly<Record<HubDtype, string>> = {
  q8: '8-bit products are the fastest that onnxruntime has on the CPU',
  int8: '8-bit products are the fastest that onnxruntime has on the CPU, and q8 is not there',
  uint8: '8-bit products are the fastest that onnxruntime has on the CPU, and neither q8 nor int8 is there',
  q4: 'there are no 8-bit weights, and 4 bits take the least memory',
  fp32: 'nothing smaller is there that the CPU computes well with',
  bnb4: 'only 4-bit floats and half precision are there',
  q4f16: 'only half precision is there, which the CPU widens at every step',
  fp16: 'only half precision is there, which the CPU widens at every step',
}

const ONE_GRAPH: GraphNames = { main: 'model' }

/** Every file of such weights. */
export function filesOf({ graph, externalData, graphs }: Weights): readonly HubFile[] {
  const others = Object.values(graphs).flatMap((each) => [each.graph, ...each.externalData])
  return [graph, ...externalData, ...others]
}

/** Finds the wanted weights. Throws `bad_model`, which lists what there is, where they are not there. @param address for messages. */
export async function chooseWeights(
  listing: Listing,
  wanted: HubDtype | 'auto',
  address: string,
  names: GraphNames = ONE_GRAPH,
): Promise<ChosenWeights> {
  const order = wanted === 'auto' ? CPU_ORDER : [wanted]
  for (const dtype of order) {
    const weights = await weightsOf(listing, dtype, names)
    if (weights === undefined) continue
    // Where every file costs a request, the others are not asked for.
    const there = listing.paths === undefined ? [weights] : await allWeights(listing, names)
    const reason = wanted === 'auto' ? REASONS[dtype] : 'it was asked for'
    return { ...weights, reason, choices: there.map(choiceOf) }
  }
  throw await notThere(listing, wanted, address, names)
}

/** `undefined`: one of the graphs is not there in this dtype. */
async function weightsOf(
  listing: Listing,
  dtype: HubDtype,
  { main: name, ...others }: GraphNames,
): Promise<Weights | undefined> {
  const main = await graphFiles(listing, dtype, name)
  if (main === undefined) return undefined
  const graphs: Record<string, GraphFiles> = {}
  for (const [each, called] of Object.entries(others)) {
    const found = await graphFiles(listing, dtype, called)
    if (found === undefined) return undefined
    graphs[each] = found
  }
  return { dtype, ...main, graphs }
}

async function graphFiles(listing: Listing, dtype: HubDtype, name: string): Promise<GraphFiles | undefined> {
  const graph = await listing.find(`onnx/${name}${DTYPE_SUFFIXES[dtype]}.onnx`)
  if (graph === undefined) return undefined
  const externalData: HubFile[] = []
  // `.onnx_data`, `.onnx_data_1`, `.onnx_data_2`… without a gap.
  for (;;) {
    const { length } = externalData
    const part = await listing.find(`${graph.path}_data${length === 0 ? '' : `_${length}`}`)
    if (part === undefined) return { graph, externalData }
    externalData.push(part)
  }
}

async function allWeights(listing: Listing, names: GraphNames): Promise<Weights[]> {
  const found: Weights[] = []
  for (const dtype of CPU_ORDER) {
    const weights = await weightsOf(listing, dtype, names)
    if (weights !== undefined) found.push(weights)
  }
  return found
}

function choiceOf(weights: Weights): HubChoice {
  return { dtype: weights.dtype, bytes: filesOf(weights).reduce((sum, { bytes }) => sum + bytes, 0) }
}

async function notThere(
  listing: Listing,
  wanted: string,
  address: string,
  names: GraphNames,
): Promise<EngineError> {
  const choices = (await allWeights(listing, names)).map(choiceOf)
  if (choices.length > 0) {
    const offered = choices.map(({ dtype, bytes }) => `${dtype} (${megabytes(bytes)})`).join(', ')
    return new EngineError('bad_model', `${address} has no weights of dtype ${wanted}. It has: ${offered}.`)
  }
  const others = listing.paths?.filter((path) => path.endsWith('.onnx')) ?? []
  if (others.length > 0) {
    const needed = Object.values(names).map((name) => `onnx/${name}*.onnx`)
    const message = `${address} has no ${needed.join(' with ')}${needed.length > 1 ? ' of one dtype' : ''}, which is what such a model's files are called; it has ${others.slice(0, 5).join(', ')}.`
    return new EngineError('bad_model', message)
  }
  const form = await otherForm(listing)
  const found = form === undefined ? 'no weights that are known here' : `weights as ${form} only`
  const advice =
    'Convert it: `npm run convert -- hf|gguf …` makes a model folder of such a repository; or look for an `onnx-community/…` one.'
  return new EngineError('bad_model', `${address} has no onnx/ folder, but ${found}. ${advice}`)
}

async function otherForm(listing: Listing): Promise<'safetensors' | 'gguf' | undefined> {
  const { paths } = listing
  if (paths?.some((path) => path.endsWith('.safetensors'))) return 'safetensors'
  if (paths?.some((path) => path.endsWith('.gguf'))) return 'gguf'
  if (paths !== undefined) return undefined
  const files = await Promise.all(
    ['model.safetensors', 'model.safetensors.index.json'].map((path) => listing.find(path)),
  )
  return files.some((file) => file !== undefined) ? 'safetensors' : undefined
}

function megabytes(bytes: number): string {
  return `${(bytes / 1e6).toFixed(bytes < 1e7 ? 1 : 0)} MB`
}

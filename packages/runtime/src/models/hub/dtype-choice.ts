import type { HubChoice, HubDtype } from '@tabserve/protocol'
import { DTYPE_SUFFIXES, EngineError } from '@tabserve/protocol'
import type { HubFile, Listing } from './listing.ts'

/** One dtype's weights: the graph, and the files that its tensors lie in. */
export interface Weights {
  readonly dtype: HubDtype
  readonly graph: HubFile
  readonly externalData: readonly HubFile[]
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

/** Finds the wanted weights. Throws `bad_model`, which lists what there is, where they are not there. @param address for messages. */
export async function chooseWeights(
  listing: Listing,
  wanted: HubDtype | 'auto',
  address: string,
): Promise<ChosenWeights> {
  const order = wanted === 'auto' ? CPU_ORDER : [wanted]
  for (const dtype of order) {
    const weights = await weightsOf(listing, dtype)
    if (weights === undefined) continue
    // Where every file costs a request, the others are not asked for.
    const there = listing.paths === undefined ? [weights] : await allWeights(listing)
    const reason = wanted === 'auto' ? REASONS[dtype] : 'it was asked for'
    return { ...weights, reason, choices: there.map(choiceOf) }
  }
  throw await notThere(listing, wanted, address)
}

async function weightsOf(listing: Listing, dtype: HubDtype): Promise<Weights | undefined> {
  const graph = await listing.find(`onnx/model${DTYPE_SUFFIXES[dtype]}.onnx`)
  if (graph === undefined) return undefined
  const externalData: HubFile[] = []
  // `.onnx_data`, `.onnx_data_1`, `.onnx_data_2`… without a gap.
  for (;;) {
    const { length } = externalData
    const part = await listing.find(`${graph.path}_data${length === 0 ? '' : `_${length}`}`)
    if (part === undefined) return { dtype, graph, externalData }
    externalData.push(part)
  }
}

async function allWeights(listing: Listing): Promise<Weights[]> {
  const found: Weights[] = []
  for (const dtype of CPU_ORDER) {
    const weights = await weightsOf(listing, dtype)
    if (weights !== undefined) found.push(weights)
  }
  return found
}

function choiceOf({ dtype, graph, externalData }: Weights): HubChoice {
  return { dtype, bytes: externalData.reduce((sum, { bytes }) => sum + bytes, graph.bytes) }
}

async function notThere(listing: Listing, wanted: string, address: string): Promise<EngineError> {
  const choices = (await allWeights(listing)).map(choiceOf)
  if (choices.length > 0) {
    const offered = choices.map(({ dtype, bytes }) => `${dtype} (${megabytes(bytes)})`).join(', ')
    return new EngineError('bad_model', `${address} has no weights of dtype ${wanted}. It has: ${offered}.`)
  }
  const others = listing.paths?.filter((path) => path.endsWith('.onnx')) ?? []
  if (others.length > 0) {
    const message = `${address} has no onnx/model*.onnx, which is what a text generator's graph is called; it has ${others.slice(0, 5).join(', ')}.`
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

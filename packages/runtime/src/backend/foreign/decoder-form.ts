import type { CacheFacts, OnnxDecoderGraph } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { OnnxGraph, OnnxValue } from '../../onnx/onnx-graph.ts'
import { readOnnxGraph } from '../../onnx/onnx-graph.ts'
import { cachePairs } from './cache-pairs.ts'
import type { CachePair } from './cache-pairs.ts'

/** What a number that is fed means. */
export type Role =
  | 'ids' // [rows, width]
  | 'mask' // [rows, past + width]: 1 where there is a token
  | 'positions' // [rows, width]
  | 'seqlens' // [rows]: tokens after the step, minus one
  | 'total' // one number: columns of the mask
  | 'logits-kept' // one number: of how many tokens at the end logits are wanted, 0: of all

export interface NumberInput {
  readonly name: string
  readonly role: Role
  readonly type: 'int32' | 'int64'
  /** Of `total` and `logits-kept`: 0 or 1. */
  readonly rank: number
}

/** How to run a foreign decoder, as its graph says. */
export interface DecoderForm {
  readonly form: CacheFacts['form']
  readonly dtype: CacheFacts['dtype']
  /** Names of the caches in and out, in one order. */
  readonly past: readonly string[]
  readonly present: readonly string[]
  readonly kvHeads: number
  readonly headDim: number
  readonly numbers: readonly NumberInput[]
  readonly logits: {
    readonly name: string
    readonly dtype: CacheFacts['dtype']
    /** The graph gives logits of the last token of each row only. */
    readonly lastOnly: boolean
  }
  readonly vocabSize: number
  /** As the graph asks for them. */
  readonly externalFiles: readonly string[]
  /** Why rows must not go through the graph together; `undefined`: nothing speaks against it. */
  readonly alone: string | undefined
}

/** Throws `bad_model`, saying what was found, where a graph is none that we know how to run. */
export function readDecoderForm(bytes: Uint8Array, manifest: OnnxDecoderGraph): DecoderForm {
  try {
    return decoderFormOf(readOnnxGraph(bytes), manifest)
  } catch (cause) {
    if (cause instanceof EngineError) throw cause
    const reason = cause instanceof Error ? cause.message : String(cause)
    const message = `${manifest.file} cannot be run as a decoder: ${reason}. Choose another export of the model.`
    throw new EngineError('bad_model', message, { file: manifest.file, cause })
  }
}

/** Throws a plain `Error` that says what was found. */
export function decoderFormOf(graph: OnnxGraph, manifest: OnnxDecoderGraph): DecoderForm {
  const pairs = cachePairs(graph)
  // First: an input that nobody knows says more of what a graph is than the caches that were not found because of it.
  const numbers = numbersOf(graph, pairs)
  if (pairs.length !== 2 * manifest.layers) throw new Error(cacheCountText(graph, pairs, manifest.layers))
  const pasts = new Set(pairs.map(({ past }) => past))
  const extra = graph.inputs.find((value) => isCacheLike(value) && !pasts.has(value.name))
  if (extra !== undefined) throw new Error(unknownText(extra))
  const geometry = geometryOf(graph, pairs, manifest)
  const form = isFixed(graph, pairs) ? 'gqa' : 'concat'
  return {
    form,
    ...geometry,
    past: pairs.map(({ past }) => past),
    present: pairs.map(({ present }) => present),
    numbers,
    logits: logitsOf(graph, pairs, manifest),
    vocabSize: manifest.vocabSize,
    externalFiles: graph.externalFiles,
    alone: aloneReason(graph, form, numbers),
  }
}

/**
 * Whether all caches are GroupQueryAttention's and nobody else looks at them: then a past may be larger than what is in it, for lengths come
 * by the mask.
 */
function isFixed({ nodes }: OnnxGraph, pairs: readonly CachePair[]): boolean {
  if (pairs.some(({ node }) => node.opType !== 'GroupQueryAttention')) return false
  const readers = new Map(pairs.map(({ past, node }) => [past, node]))
  return nodes.every((node) =>
    node.inputs.every((name, slot) => {
      const reader = readers.get(name)
      return reader === undefined || (reader === node && (slot === 3 || slot === 4))
    }),
  )
}

/** Why a row's logits would depend on its neighbours. */
function aloneReason(
  { nodes }: OnnxGraph,
  form: CacheFacts['form'],
  numbers: readonly NumberInput[],
): string | undefined {
  const blending = nodes.find(({ opType }) => BLENDING.has(opType))
  if (blending !== undefined) return `${blending.opType} quantises all rows by one scale`
  if (form === 'gqa') return undefined
  if (nodes.some(({ opType }) => opType === 'GroupQueryAttention'))
    return 'GroupQueryAttention takes no padding on the left, and its past must be exact here'
  const roles = new Set(numbers.map(({ role }) => role))
  return roles.has('mask') ? undefined : 'it has no attention mask to hide padding'
}

/** They take the range of a whole tensor, all rows in one. */
const BLENDING = new Set(['DynamicQuantizeLinear', 'DynamicQuantizeMatMul'])

function geometryOf(
  { inputs, outputs }: OnnxGraph,
  pairs: readonly CachePair[],
  { kvHeads, headDim }: OnnxDecoderGraph,
): Pick<DecoderForm, 'dtype' | 'kvHeads' | 'headDim'> {
  const values = new Map([...inputs, ...outputs].map((value) => [value.name, value]))
  const dtypes = new Set<CacheFacts['dtype']>()
  for (const { past, present, node } of pairs) {
    const value = values.get(past)
    const shape = value?.shape
    if (shape?.length !== 4 || !fits(shape[1], kvHeads) || !fits(shape[3], headDim))
      throw new Error(
        `the cache ${past} has the shape ${shapeText(shape)}, not [rows, ${kvHeads}, length, ${headDim}]`,
      )
    const axis = node.integers.get('axis')
    if (node.opType === 'Concat' && axis !== 2 && axis !== -2)
      throw new Error(`the cache ${past} grows along axis ${axis}, not along its length`)
    if (values.get(present)?.type !== value?.type) throw new Error(`${past} and ${present} differ in type`)
    dtypes.add(floatOf(past, value))
  }
  const [dtype = 'float32', ...others] = dtypes
  if (others.length > 0) throw new Error('its caches are of several types')
  return { dtype, kvHeads, headDim }
}

/** Every input that is no cache, and what it means; by the place it goes to, else by the name that all exporters use. */
function numbersOf({ inputs }: OnnxGraph, pairs: readonly CachePair[]): NumberInput[] {
  const byPlace = new Map<string, Role>()
  for (const { node } of pairs) {
    if (node.opType !== 'GroupQueryAttention') continue
    for (const [slot, role] of GQA_NUMBERS) {
      const name = node.inputs[slot]
      if (name !== undefined && name !== '') byPlace.set(name, role)
    }
  }
  const numbers = inputs
    .filter((value) => !isCacheLike(value))
    .map((value) => numberOf(value, byPlace.get(value.name) ?? ROLES.get(value.name)))
  if (!numbers.some(({ role }) => role === 'ids')) throw new Error('it has no input input_ids')
  return numbers
}

function numberOf(value: OnnxValue, role: Role | undefined): NumberInput {
  const { name, type, shape } = value
  if (role === undefined) throw new Error(unknownText(value))
  const integer = type === INT32 ? 'int32' : type === INT64 ? 'int64' : undefined
  if (integer === undefined) throw new Error(`its input ${name} is neither int32 nor int64`)
  const ranks = RANKS[role]
  const rank = shape?.length ?? ranks[0] ?? 0
  if (!ranks.includes(rank)) throw new Error(`its input ${name} has the shape ${shapeText(shape)}`)
  return { name, role, type: integer, rank }
}

function logitsOf(
  { outputs }: OnnxGraph,
  pairs: readonly CachePair[],
  { vocabSize }: OnnxDecoderGraph,
): DecoderForm['logits'] {
  const presents = new Set(pairs.map(({ present }) => present))
  const [logits, other] = outputs.filter(({ name }) => !presents.has(name))
  if (logits === undefined) throw new Error('it has no output but its caches')
  if (other !== undefined)
    throw new Error(`it has outputs that this build does not know: ${logits.name} and ${other.name}`)
  const { name, shape } = logits
  if (shape !== undefined && (shape.length !== 3 || !fits(shape[2], vocabSize)))
    throw new Error(`its output ${name} has the shape ${shapeText(shape)}, not [rows, tokens, ${vocabSize}]`)
  return { name, dtype: floatOf(name, logits), lastOnly: shape?.[1] === 1 }
}

function floatOf(name: string, value: OnnxValue | undefined): CacheFacts['dtype'] {
  if (value?.type === FLOAT32) return 'float32'
  if (value?.type === FLOAT16) return 'float16'
  throw new Error(`${name} is neither float32 nor float16 (it is of the type ${value?.type})`)
}

function isCacheLike({ type, shape }: OnnxValue): boolean {
  return (type === FLOAT32 || type === FLOAT16) && (shape === undefined || shape.length > 2)
}

function unknownText({ name, shape }: OnnxValue): string {
  return `it has an input that this build does not know: ${name}, ${shapeText(shape)}`
}

/** A size that the graph leaves open fits everything. */
function fits(size: number | string | undefined, wanted: number): boolean {
  return typeof size !== 'number' || size === wanted
}

function cacheCountText({ outputs, nodes }: OnnxGraph, pairs: readonly CachePair[], layers: number): string {
  const presents = new Set(pairs.map(({ present }) => present))
  const others = outputs.filter(({ name }) => !presents.has(name))
  const text = others.slice(0, 3).map(({ name }) => {
    const node = nodes.find((candidate) => candidate.outputs.includes(name))
    return node === undefined ? name : `${name} of ${node.opType}`
  })
  return `${pairs.length} caches were found where ${layers} layers have ${2 * layers}; its other outputs are ${text.join(', ') || 'none'}`
}

function shapeText(shape: readonly (number | string)[] | undefined): string {
  return shape === undefined ? 'of no known rank' : `[${shape.slice(0, 8).join(', ')}]`
}

/** What GroupQueryAttention takes besides tensors, by the number of the input. */
const GQA_NUMBERS: readonly (readonly [slot: number, role: Role])[] = [
  [5, 'seqlens'],
  [6, 'total'],
  [9, 'positions'],
]

const ROLES: ReadonlyMap<string, Role> = new Map([
  ['input_ids', 'ids'],
  ['attention_mask', 'mask'],
  ['position_ids', 'positions'],
  ['num_logits_to_keep', 'logits-kept'],
])

const RANKS: Readonly<Record<Role, readonly number[]>> = {
  ids: [2],
  mask: [2],
  positions: [2],
  seqlens: [1],
  total: [0, 1],
  'logits-kept': [0, 1],
}

/** TensorProto.DataType. */
const FLOAT32 = 1
const INT32 = 6
const INT64 = 7
const FLOAT16 = 10

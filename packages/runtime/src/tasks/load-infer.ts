import type { FoundLayout } from '@tabserve/engine'
import {
  checkNumber,
  checkOneOf,
  checkString,
  findLayout,
  resolveBatching,
  resolveSequencing,
} from '@tabserve/engine'
import type { InferManifest, LoadRequest, OnnxGraphSpec, TensorSpec, Tensors } from '@tabserve/protocol'
import { EngineError, TENSOR_ARRAYS, elementsOf } from '@tabserve/protocol'
import { messageOf } from '../backend/backend-failure.ts'
import type { Device } from '../backend/device.ts'
import type { InferSession } from '../backend/infer-session.ts'
import type { AnyHandler, HandlerHost } from '../handlers/handler.ts'
import { HANDLERS } from '../handlers/index.ts'
import type { WorkerExtensions } from '../handlers/worker-extensions.ts'
import type { ModelFiles } from '../models/model-files.ts'
import type { OnnxGraph } from '../onnx/onnx-graph.ts'
import { readOnnxGraph } from '../onnx/onnx-graph.ts'
import { signatureOf } from '../onnx/signature.ts'
import { widenBatch } from '../onnx/widen-batch.ts'
import { Responses, resolveResponseCache } from '../responses/responses.ts'
import { idbChunkStore } from '../storage/idb-chunk-store.ts'
import { importScript } from '../import-script.ts'
import { InferModel } from './infer.ts'
import type { Task } from './index.ts'

const MAX_WAITING = 1000

/** Loads any ONNX graph: its session, what it takes and gives, how requests go together, and its handler. */
export const loadInfer: Task<InferManifest> = async (model, device, request, onProgress, extensions) => {
  const { manifest, files, observer } = model
  const { batching: ofLoad = {}, sequence = {}, responseCache } = request
  const choice = device.cpuChoice(checkedDevice(request))
  const maxWaiting =
    checkNumber(
      'maxWaiting',
      request.maxWaiting,
      'a whole number',
      (count) => Number.isInteger(count) && count >= 0,
    ) ?? MAX_WAITING
  const batching = resolveBatching({ ...manifest.batching, ...ofLoad }, maxWaiting)
  const canBatch = hookOf(batching.canBatch, extensions)
  const kept = resolveResponseCache(responseCache ?? {})
  const handler = await makeHandler(request, manifest, files, device, extensions)

  const isBatched = batching.maxBatchSize > 1 && batching.batchDimension !== null
  const main = await readGraph(manifest.graph, files, isBatched)
  const started = performance.now()
  onProgress({ type: 'load-progress', phase: 'create' })
  const { inputs, outputs } = main.signature
  const found = findLayout(inputs, outputs, batching.batchDimension, batching.padding)
  const sequencing = resolveSequencing({ ...manifest.sequence, ...sequence }, inputs, outputs)
  const sessions = new Map([['main', await openSession(device, manifest.graph, main)]])
  for (const [name, spec] of Object.entries(manifest.graphs ?? {}))
    sessions.set(name, await openSession(device, spec, await readGraph(spec, files)))
  const created = performance.now()

  onProgress({ type: 'load-progress', phase: 'warm-up' })
  await warmUp(sessions.get('main'), inputs, found)
  const store = kept.kind === 'indexeddb' ? idbChunkStore(`tabserve-responses ${manifest.name}`) : undefined
  const handlerName = request.handler ?? manifest.handler
  const maxBatchSize = found.layout === undefined ? 1 : batching.maxBatchSize
  return {
    served: new InferModel({
      sessions,
      inputs,
      outputs,
      batching,
      layout: found.layout,
      isDeclared: batching.batchDimension !== undefined,
      canBatch,
      sequencing,
      handler,
      facts: { runner: 'public', choice, kvBytes: 0, kvType: 'float32', maxRunning: maxBatchSize },
      graph: {
        inputs,
        outputs,
        maxBatchSize,
        batchingReason: main.isWidened ? `${found.reason}, which was opened: the file says 1` : found.reason,
        state: sequencing.state,
        ...(handlerName === undefined ? {} : { handler: handlerName }),
      },
      responses: await Responses.open(identityOf(manifest, handlerName), kept.maxBytes, store),
      keepsResponses: responseCache !== undefined,
      observer,
    }),
    contextLength: 0,
    hasChatTemplate: false,
    report: { createMs: created - started, warmupMs: performance.now() - created },
  }
}

interface ReadGraph {
  readonly bytes: Uint8Array
  readonly signature: { readonly inputs: readonly TensorSpec[]; readonly outputs: readonly TensorSpec[] }
  readonly external: readonly { readonly path: string; readonly data: Uint8Array }[]
  /** It was exported for one row. */
  readonly isWidened: boolean
}

/** Throws `bad_model`. */
async function readGraph(
  { file, externalData = [] }: OnnxGraphSpec,
  files: ModelFiles,
  isToWiden = false,
): Promise<ReadGraph> {
  const stored = await files.bytes(file)
  const asStored = reading(file, () => readOnnxGraph(stored))
  const widened = isToWiden ? reading(file, () => widenBatch(stored, asStored)) : undefined
  const bytes = widened ?? stored
  const graph = widened === undefined ? asStored : reading(file, () => readOnnxGraph(bytes))
  const signature = reading(file, () => signatureOf(graph))
  const external = []
  for (const path of externalOf(file, graph, externalData))
    external.push({ path: path.name, data: await files.bytes(path.file) })
  return { bytes, signature, external, isWidened: widened !== undefined }
}

/** The graph calls its files from its own folder. */
function externalOf(file: string, { externalFiles }: OnnxGraph, listed: readonly string[]) {
  const folder = file.slice(0, file.lastIndexOf('/') + 1)
  return externalFiles.map((name) => {
    const path = folder + name
    if (listed.includes(path)) return { name, file: path }
    const message = `${file} keeps weights in ${name}, which the manifest does not list as its externalData.`
    throw new EngineError('bad_model', message, { file })
  })
}

async function openSession(
  device: Device,
  { file }: OnnxGraphSpec,
  { bytes, external }: ReadGraph,
): Promise<InferSession> {
  return device.openSession(file, bytes, external)
}

/** One run with zeros, where the graph says every size but that of rows: the first request is then not the slow one. What zeros do wrong says nothing. */
async function warmUp(
  session: InferSession | undefined,
  inputs: readonly TensorSpec[],
  { layout }: FoundLayout,
): Promise<void> {
  const tensors: Record<string, Tensors[string]> = {}
  for (const { name, datatype, shape } of inputs) {
    const row = layout?.inputs.get(name)?.row
    const sizes = shape?.map((size, axis) => (axis === row ? 1 : size))
    if (datatype === 'BYTES' || sizes?.every((size) => typeof size === 'number') !== true) return
    const fixed = sizes as readonly number[]
    tensors[name] = { datatype, shape: fixed, data: new TENSOR_ARRAYS[datatype](elementsOf(fixed)) }
  }
  await session?.run(tensors, undefined).catch(() => {}) // zeros need not be what the graph takes
}

async function makeHandler(
  { handler }: LoadRequest,
  manifest: InferManifest,
  files: ModelFiles,
  device: Device,
  extensions: WorkerExtensions,
): Promise<AnyHandler | undefined> {
  const name = checkString('handler', handler) ?? manifest.handler
  if (name === undefined) return undefined
  const all = { ...HANDLERS, ...extensions.handlers }
  const make = Object.hasOwn(all, name) ? all[name] : undefined
  if (make !== undefined) return make(files, manifest, hostOf(device, extensions))
  const known = Object.keys(all).join(', ') || 'none'
  const message = `There is no handler ${name}. There are: ${known}. Own ones are given to startWorker in the page's worker file.`
  throw new EngineError('bad_request', message, { param: 'handler' })
}

function hostOf(device: Device, { transformers }: WorkerExtensions): HandlerHost {
  return {
    openGraph: async (graph) => {
      const session = await device.openSession('a graph of the handler', graph, [])
      return (inputs) => session.run(inputs, undefined)
    },
    importTransformers:
      transformers ?? (() => importScript('transformers.js', 'transformers', device.transformersScript)),
  }
}

function hookOf(name: string | undefined, { batchHooks = {} }: WorkerExtensions) {
  if (name === undefined) return undefined
  const hook = Object.hasOwn(batchHooks, name) ? batchHooks[name] : undefined
  if (hook !== undefined) return hook
  const message = `There is no hook ${name}: give it to startWorker, in batchHooks, in the page's worker file.`
  throw new EngineError('bad_request', message, { param: 'batching.canBatch' })
}

/** Whether the CPU was asked for. Throws `bad_request` for what does not run such a graph. */
function checkedDevice({ device, runner }: LoadRequest): boolean {
  const wanted = checkOneOf('device', device, ['auto', 'webgpu', 'wasm']) ?? 'auto'
  const by = checkOneOf('runner', runner, ['auto', 'kernels', 'heap', 'public', 'webgpu']) ?? 'auto'
  if (wanted === 'webgpu' || (by !== 'auto' && by !== 'public')) {
    const message = `Models that are asked once a request run on device wasm with runner public, not on ${wanted === 'webgpu' ? 'webgpu' : by}.`
    throw new EngineError('bad_request', message, { param: wanted === 'webgpu' ? 'device' : 'runner' })
  }
  return wanted === 'wasm' || by === 'public'
}

/** Down to the weights and who reads its answers. */
function identityOf({ name, version, files }: InferManifest, handler: string | undefined): string {
  return [name, version, handler ?? '', ...files.map(({ sha256 }) => sha256)].join(' ')
}

function reading<T>(file: string, read: () => T): T {
  try {
    return read()
  } catch (cause) {
    throw new EngineError('bad_model', `${file} cannot be run: ${messageOf(cause)}.`, { file, cause })
  }
}

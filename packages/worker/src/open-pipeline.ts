import { planPipeline } from '@tabserve/engine'
import type {
  DeviceChoice,
  InferManifest,
  LoadReport,
  LoadRequest,
  ModelInfo,
  PipelineSpec,
} from '@tabserve/protocol'
import { pipelineModels } from '@tabserve/protocol'
import type { LoadedModel } from '@tabserve/runtime'
import { PipelineModel } from '@tabserve/runtime'
import type { WorkerExtensions } from '@tabserve/runtime/extensions'

/** A loaded model, and what is said of it, but for what its `facts` may change. */
export interface OpenedEntry {
  readonly info: ModelInfo
  readonly model: LoadedModel
}

/** Loads the models of a pipeline beside each other in this worker, for it alone. Throws as loads do, and `bad_request` for a pipeline that cannot run. */
export async function openPipeline(
  spec: PipelineSpec,
  { url, refresh = false }: LoadRequest,
  { functions = {} }: WorkerExtensions,
  choice: DeviceChoice,
  open: (request: LoadRequest) => Promise<OpenedEntry>,
): Promise<OpenedEntry> {
  const plan = planPipeline(spec)
  const entries = new Map<string, OpenedEntry>()
  try {
    for (const address of pipelineModels(spec)) entries.set(address, await open({ url: address, refresh }))
    const opened = [...entries.values()]
    const members = new Map(
      [...entries].map(([address, { info, model }]) => [
        address,
        { manifest: info.manifest, served: model.served },
      ]),
    )
    const facts = factsOf(opened, choice)
    const served = new PipelineModel({ plan, members, functions, facts })
    const load = opened.map(({ info }) => info.load).reduce(both, NOTHING)
    const info: ModelInfo = {
      ...facts,
      id: `${spec.name}@${spec.version ?? '1'}`,
      url,
      manifest: manifestOf(spec, opened),
      threads: opened[0]?.info.threads ?? 1,
      contextLength: 0,
      hasChatTemplate: false,
      load,
    }
    return { info, model: { served, contextLength: 0, hasChatTemplate: false, report: load } }
  } catch (error) {
    for (const { model } of entries.values()) await model.served.dispose()
    throw error
  }
}

/** Files of all its models, each below its model's id: what it takes of the memory. It has no graph of its own. */
function manifestOf(spec: PipelineSpec, opened: readonly OpenedEntry[]): InferManifest {
  return {
    format: 'tabserve-model',
    formatVersion: 1,
    name: spec.name,
    version: spec.version ?? '1',
    task: 'infer',
    graph: { kind: 'onnx', file: '' },
    handler: 'pipeline',
    options: { pipeline: spec },
    files: opened.flatMap(({ info }) =>
      info.manifest.files.map((file) => ({ ...file, path: `${info.id}/${file.path}` })),
    ),
  }
}

function factsOf(opened: readonly OpenedEntry[], choice: DeviceChoice) {
  const sum = (count: (info: ModelInfo) => number) =>
    opened.reduce((total, { info }) => total + count(info), 0)
  return {
    runner: 'public' as const,
    choice,
    kvBytes: sum(({ kvBytes }) => kvBytes),
    kvType: 'float32' as const,
    maxRunning: 1,
  }
}

const NOTHING: LoadReport = {
  networkBytes: 0,
  storedBytes: 0,
  localBytes: 0,
  fetchMs: 0,
  hashMs: 0,
  createMs: 0,
  warmupMs: 0,
}

function both(one: LoadReport, other: LoadReport): LoadReport {
  return {
    ...one,
    ...other,
    networkBytes: one.networkBytes + other.networkBytes,
    storedBytes: one.storedBytes + other.storedBytes,
    localBytes: one.localBytes + other.localBytes,
    fetchMs: one.fetchMs + other.fetchMs,
    hashMs: one.hashMs + other.hashMs,
    createMs: one.createMs + other.createMs,
    warmupMs: one.warmupMs + other.warmupMs,
  }
}

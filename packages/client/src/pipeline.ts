import type { ModelInfo, PipelineNode, PipelineSpec, RunRequest } from '@tabserve/protocol'
import { absoluteUrl } from './absolute-url.ts'
import type { OneShotOptions, RunResult } from './inference.ts'

/** How one request of a pipeline is sent; its parameters are those of its nodes. */
export type PipelineRunOptions = Omit<OneShotOptions<RunRequest>, 'model' | 'input' | 'parameters'>

/** A loaded pipeline, typed by what goes in and what comes out. */
export interface Pipeline<Input, Output> {
  readonly info: ModelInfo
  /** Rejects with `EngineError`; its `node` says which node failed. */
  run(input: Input, options?: PipelineRunOptions): Promise<Output>
}

/** A pipeline whose models have absolute addresses, as workers want them. */
export function withAddresses(spec: PipelineSpec): PipelineSpec {
  const nodes = Object.entries(spec.nodes ?? {}).map(([name, node]) => [name, addressed(node)] as const)
  return { ...spec, nodes: Object.fromEntries(nodes) }
}

export function pipelineOf<Input, Output>(
  info: ModelInfo,
  run: (options: OneShotOptions<RunRequest>) => Promise<RunResult<Output>>,
): Pipeline<Input, Output> {
  return {
    info,
    run: async (input, options = {}) => (await run({ ...options, model: info.id, input })).output,
  }
}

function addressed(node: PipelineNode): PipelineNode {
  if ('model' in node && typeof node.model === 'string') return { ...node, model: absoluteUrl(node.model) }
  if (!('function' in node) || node.models === undefined) return node
  const models = Object.entries(node.models).map(([name, address]) => [name, absoluteUrl(address)] as const)
  return { ...node, models: Object.fromEntries(models) }
}

import type { PipelineNode, PipelineSpec } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { checkNumber } from '../check-option.ts'
import { sourcesOf } from './pipeline-value.ts'

export interface PlannedNode {
  readonly name: string
  readonly node: PipelineNode
  /** Nodes whose outputs it takes. */
  readonly needs: readonly string[]
  readonly retries: number
  readonly timeoutMs: number
}

/** A pipeline that can run: every source exists, and no node waits for itself. */
export interface PipelinePlan {
  readonly name: string
  /** Each behind those that it needs. */
  readonly nodes: readonly PlannedNode[]
  readonly output: PipelineSpec['output']
}

/** Checks a pipeline. Throws `bad_request`, which names the node, or the nodes of a cycle. */
export function planPipeline(spec: PipelineSpec): PipelinePlan {
  const { name, nodes, output } = spec
  if (!NAME.test(name)) throw wrong(`The name of a pipeline must match ${NAME}.`)
  const entries = Object.entries(nodes ?? {})
  if (entries.length === 0) throw wrong(`The pipeline ${name} has no nodes.`)
  const names = new Set(entries.map(([node]) => node))
  const planned = entries.map(([node, each]) => plannedNode(name, node, each, names))
  for (const source of sourcesOf(output, `The output of pipeline ${name}`))
    if (source !== 'input' && !names.has(source))
      throw wrong(`The output of pipeline ${name} takes ${source}, and there is no such node.`)
  return { name, nodes: inOrder(name, planned), output }
}

const NAME = /^[\w.-]+$/
const NODE_NAME = /^[A-Za-z_]\w*$/

function plannedNode(
  pipeline: string,
  name: string,
  node: PipelineNode,
  names: ReadonlySet<string>,
): PlannedNode {
  const label = `Node ${name} of pipeline ${pipeline}`
  if (!NODE_NAME.test(name) || name === 'input')
    throw wrong(`${label} needs another name: letters, digits and _, and not "input".`)
  const { model, function: work } = node as { readonly model?: unknown; readonly function?: unknown }
  if ((typeof model === 'string') === (typeof work === 'string'))
    throw wrong(`${label} needs either a model's address or a function's name.`)
  const needs = sourcesOf(node.input, label).filter((source) => source !== 'input')
  const missing = needs.find((source) => !names.has(source))
  if (missing !== undefined) throw wrong(`${label} takes ${missing}, and there is no such node.`)
  return {
    name,
    node,
    needs: [...new Set(needs)],
    retries:
      checkNumber(`retries of node ${name}`, node.retries, 'a whole number from 0 to 10', isRetries) ?? 1,
    timeoutMs:
      checkNumber(`timeoutMs of node ${name}`, node.timeoutMs, 'a number above 0', (value) => value > 0) ??
      10_000,
  }
}

/** Takes out what waits for nothing, again and again; what is left waits for itself. */
function inOrder(pipeline: string, nodes: readonly PlannedNode[]): PlannedNode[] {
  const ordered: PlannedNode[] = []
  const done = new Set<string>()
  let left = nodes
  while (left.length > 0) {
    const free = left.filter(({ needs }) => needs.every((need) => done.has(need)))
    if (free.length === 0) throw wrong(`Pipeline ${pipeline} goes in a circle: ${cycleOf(left).join(' → ')}.`)
    for (const node of free) done.add(node.name)
    ordered.push(...free)
    left = left.filter(({ name }) => !done.has(name))
  }
  return ordered
}

/** Every node that is left waits for one that is left: following that leads back. */
function cycleOf(left: readonly PlannedNode[]): string[] {
  const path: string[] = []
  let at = left[0]
  while (at !== undefined && !path.includes(at.name)) {
    path.push(at.name)
    const { needs } = at
    at = left.find(({ name }) => needs.includes(name))
  }
  const circle = path.slice(path.indexOf(at?.name ?? ''))
  return [...circle, circle[0] ?? ''].toReversed()
}

function isRetries(value: number): boolean {
  return Number.isInteger(value) && value >= 0 && value <= 10
}

function wrong(message: string): EngineError {
  return new EngineError('bad_request', message, { param: 'pipeline' })
}

import { isRecord } from './json-shape.ts'

/** Says what is wrong with a manifest of task `infer` whose `files` were found good, or `undefined`. */
export function inferProblem(manifest: Readonly<Record<string, unknown>>): string | undefined {
  const { graph, graphs = {}, handler, batching, sequence } = manifest
  if (!isRecord(graphs)) return '"graphs" must be an object'
  const listed = new Set((manifest['files'] as { path: string }[]).map(({ path }) => path))
  const problem = [['graph', graph] as const, ...Object.entries(graphs)]
    .map(([name, each]) => graphProblem(name, each, listed))
    .find((found) => found !== undefined)
  if (problem !== undefined) return problem
  if (handler !== undefined && (typeof handler !== 'string' || handler === ''))
    return '"handler" must be a name'
  // What they hold is checked with the load's own options.
  if (batching !== undefined && !isRecord(batching)) return '"batching" must be an object'
  return sequence === undefined || isRecord(sequence) ? undefined : '"sequence" must be an object'
}

function graphProblem(name: string, graph: unknown, listed: ReadonlySet<string>): string | undefined {
  if (!isRecord(graph)) return `"${name}" is missing`
  const { kind, file, externalData = [] } = graph
  if (kind !== 'onnx') return `"kind" of "${name}", ${JSON.stringify(kind)}, is not one of: onnx`
  if (!Array.isArray(externalData)) return `"externalData" of "${name}" must be a list of paths`
  const missing = [file, ...(externalData as unknown[])].find((path) => !listed.has(path as string))
  return missing === undefined ? undefined : `it uses ${String(missing)}, which "files" does not list`
}

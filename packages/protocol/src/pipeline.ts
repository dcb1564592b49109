/** Models and functions that answer together: a graph without cycles, run in one worker. Only its input and its output visit the page. */
export interface PipelineSpec {
  /** The name by which requests ask for it; letters, digits, `.`, `_`, `-`. */
  readonly name: string
  /** Default `1`. */
  readonly version?: string
  /** Nodes by their names. What does not wait for each other runs at once. */
  readonly nodes: Readonly<Record<string, PipelineNode>>
  /** What it gives. */
  readonly output: PipelineValue
}

/** A model, or a function of the page. */
export type PipelineNode = ModelNode | FunctionNode

interface NodeOptions {
  /** What it takes. */
  readonly input: PipelineValue
  /** The input is a list: each of its items is taken alone, all at once, and the output is the list of what they gave. Default false. */
  readonly forEach?: boolean
  /** How often it is tried again when it has failed; mistakes in what it was given are not. Default 1. */
  readonly retries?: number
  /** Milliseconds that one try may take. Default 10,000. */
  readonly timeoutMs?: number
}

/** A model of task `infer`: with a handler it takes and gives what that does, without one named tensors. */
export interface ModelNode extends NodeOptions {
  /** The address of its folder. The same address twice is one model. */
  readonly model: string
  readonly parameters?: Readonly<Record<string, unknown>>
}

/** A function that the page's own worker file gave to `startWorker`. */
export interface FunctionNode extends NodeOptions {
  readonly function: string
  /** Models that the function may ask, addresses of folders by names of its own. */
  readonly models?: Readonly<Record<string, string>>
}

/**
 * A value by where it comes from: `input` is what the request brought, a node's name what that gave, with fields behind dots: `voice.segments`. An object
 * is an object of such values, a list a list of them; `{ value }` is itself.
 */
export type PipelineValue =
  | string
  | { readonly value: unknown }
  | readonly PipelineValue[]
  | { readonly [field: string]: PipelineValue }

/** The addresses of a pipeline's models, each once. */
export function pipelineModels({ nodes }: PipelineSpec): string[] {
  const all = Object.values(nodes).flatMap((node) =>
    'model' in node ? [node.model] : Object.values(node.models ?? {}),
  )
  return [...new Set(all)]
}

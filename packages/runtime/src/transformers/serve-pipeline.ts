import type { Tensors } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { HandlerFactory, MultiPass, MultiPassContext } from '../handlers/handler.ts'
import { TaskModel } from '../handlers/task-model.ts'
import type { TransformersDoor } from './door.ts'
import { openTransformers } from './door.ts'
import { pictureOf } from './picture.ts'
import { plainOf } from './plain.ts'

/** What a pipeline of transformers.js is made with. */
export interface PipelineOptions {
  /** As transformers.js has it; it says which ONNX files it asks for. Default `fp32`: `onnx/model.onnx`. */
  readonly dtype?: string | Readonly<Record<string, string>>
}

/**
 * A handler that serves a pipeline of transformers.js as it is, of any of its tasks: its files come from the model's folder, its passes run on the model's
 * sessions, one request after the other. An input is the pipeline's first argument, or `{ args }` where it takes several; parameters are its options.
 */
export function transformersPipeline(task: string, { dtype = 'fp32' }: PipelineOptions = {}): HandlerFactory {
  return async (files, manifest, host) => {
    const model = TaskModel.of(files, manifest, host)
    const door = await openTransformers(host)
    const passes = new CurrentPasses()
    const tickets = await ticketsOf(model, door, passes)
    const name = door.shelf.add((path) => {
      const ticket = tickets.get(path)
      if (ticket !== undefined) return Promise.resolve(ticket)
      return model.has(path) ? files.bytes(path) : undefined
    })
    const pipe = await makePipeline(door, task, name, dtype)
    const handler: MultiPass<unknown, unknown> = {
      run: (input, context) =>
        passes.during(context, async () => {
          const args =
            isRecord(input) && Array.isArray(input['args']) ? (input['args'] as unknown[]) : [input]
          const read = await Promise.all(args.map((each) => readArgument(door, each)))
          return plainOf(await pipe(...read, context.parameters))
        }),
    }
    return handler
  }
}

type Pipe = (...args: readonly unknown[]) => Promise<unknown>

async function makePipeline(
  { library }: TransformersDoor,
  task: string,
  name: string,
  dtype: PipelineOptions['dtype'],
): Promise<Pipe> {
  const make = library.pipeline as unknown as (task: string, name: string, options: object) => Promise<Pipe>
  try {
    return await make(task, name, { device: 'auto', dtype })
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EngineError(
      'bad_model',
      `transformers.js makes no pipeline ${task} of this folder: ${reason}`,
      { cause },
    )
  }
}

/** Which graph each ONNX file of the manifest is, in place of its bytes. */
async function ticketsOf(
  model: TaskModel,
  { runtime }: TransformersDoor,
  passes: CurrentPasses,
): Promise<ReadonlyMap<string, Uint8Array<ArrayBuffer>>> {
  const { graph, graphs = {} } = model.manifest
  const tickets = new Map<string, Uint8Array<ArrayBuffer>>()
  for (const [name, { file }] of Object.entries({ main: graph, ...graphs })) {
    const { inputs, outputs } = await model.graph(name)
    tickets.set(file, runtime.ticket({ inputs, outputs, run: (feeds) => passes.run(name, feeds) }))
  }
  return tickets
}

/** The item whose turn it is: items of several passes go one after the other, and the library does not say whose pass it wants. */
class CurrentPasses {
  #context: MultiPassContext | undefined

  async during<T>(context: MultiPassContext, work: () => Promise<T>): Promise<T> {
    if (this.#context !== undefined) throw new Error('two items of one pipeline at once')
    this.#context = context
    try {
      return await work()
    } finally {
      this.#context = undefined
    }
  }

  run(session: string, inputs: Tensors): Promise<Tensors> {
    if (this.#context === undefined) throw new Error('a pass of nobody')
    this.#context.signal.throwIfAborted()
    return this.#context.run(session, inputs)
  }
}

/** Pictures are the library's own; all else is as it came. */
function readArgument({ library }: TransformersDoor, value: unknown): Promise<unknown> {
  const isPicture = value instanceof Blob || (isRecord(value) && 'width' in value && 'data' in value)
  return isPicture ? pictureOf(library, value) : Promise.resolve(value)
}

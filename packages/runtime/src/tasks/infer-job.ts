import { checkTensors, isList, refusal } from '@tabserve/engine'
import type { InferRequest, ResultEvent, RunRequest, TensorSpec, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { AnyHandler, HandlerContext } from '../handlers/handler.ts'

/** What is done for one request around its run. */
export interface Job {
  readonly preprocess: (context: HandlerContext) => Tensors | Promise<Tensors>
  readonly postprocess: (outputs: Tensors, context: HandlerContext) => Promise<Answer>
  /** In place of all of it. */
  readonly passes?: (context: HandlerContext) => Promise<Answer>
  readonly outputs: readonly string[] | undefined
}

export type Answer = Pick<ResultEvent, 'outputs' | 'output'>

/** Tensors as they are. Throws `bad_request` for what the graph does not take, before anything waits. @param wanted inputs that the request must bring. */
export function inferJob(
  { inputs, outputs }: InferRequest,
  wanted: readonly TensorSpec[],
  given: readonly TensorSpec[],
): Job {
  checkTensors(inputs, wanted, 'input')
  checkOutputs(outputs, given)
  return { outputs, preprocess: () => inputs, postprocess: async (outputs) => ({ outputs }) }
}

/** What a handler makes of an item. Throws `bad_request`. @param run one pass, for a handler of several. */
export function runJob(
  { input, sequence }: RunRequest,
  handler: AnyHandler | undefined,
  run: (session: string, inputs: Tensors) => Promise<Tensors>,
): Job {
  if (handler === undefined) {
    const message = 'This model has no handler: ask it with tensors, by `infer`, or load it with a `handler`.'
    throw new EngineError('bad_request', message)
  }
  if (!('run' in handler))
    return {
      outputs: undefined,
      preprocess: (context) => handler.preprocess(input, context),
      postprocess: async (outputs, context) => ({ output: await handler.postprocess(outputs, context) }),
    }
  if (sequence !== undefined)
    throw new EngineError('bad_request', 'A handler that runs its own passes carries no sequence.')
  return {
    outputs: undefined,
    preprocess: () => ({}),
    postprocess: async () => ({}),
    passes: async (context) => ({ output: await handler.run(input, { ...context, run }) }),
  }
}

function checkOutputs(outputs: unknown, specs: readonly TensorSpec[]): void {
  if (outputs === undefined) return
  const names = specs.map(({ name }) => name)
  if (isList(outputs) && outputs.length > 0 && outputs.every((name) => names.includes(name as string))) return
  throw refusal('outputs', outputs, `a list of some of ${names.join(', ')}`)
}

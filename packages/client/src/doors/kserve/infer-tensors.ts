import type { InferRequest, SequenceStep } from '@tabserve/protocol'
import type { OneShotOptions } from '../../inference.ts'
import { readFields, wrong } from '../openai/fields.ts'
import { requestTensors } from './request-tensors.ts'
import type { KServeInferRequest } from './shapes.ts'

/** A request as the client takes it, and how its outputs are to come. */
export interface TensorRequest {
  readonly options: Omit<OneShotOptions<InferRequest>, 'model'>
  readonly isBinary: (output: string) => boolean
}

/** Throws `bad_request`, `unsupported_parameter`. @param binary bytes behind the JSON. */
export function tensorRequest(request: KServeInferRequest, binary: Uint8Array<ArrayBuffer>): TensorRequest {
  const used = { id: 'used', inputs: 'used', parameters: 'used', outputs: 'used' } as const
  const { inputs, outputs, parameters = {} } = readFields(request, used, 'infer')
  const {
    priority,
    timeout,
    binary_data_output: isAllBinary,
    ...others
  } = parameters as Record<string, unknown>
  const { sequence_id, sequence_start, sequence_end, ...own } = others
  const wanted = outputs === undefined ? undefined : outputsOf(outputs)
  return {
    options: {
      inputs: requestTensors(inputs, binary),
      ...(wanted === undefined ? {} : { outputs: [...wanted.keys()] }),
      // KServe's 1 is the highest, and 0 says nothing.
      ...(priority === undefined || priority === 0 ? {} : { priority: Number(priority) - 1 }),
      ...(timeout === undefined ? {} : { timeoutMs: Number(timeout) / 1000 }),
      ...(sequence_id === undefined || sequence_id === 0
        ? {}
        : { sequence: stepOf(sequence_id, sequence_start, sequence_end) }),
      ...(Object.keys(own).length === 0 ? {} : { parameters: own }),
    },
    isBinary: (output) => wanted?.get(output) ?? isAllBinary === true,
  }
}

/** Names, and whether each is to come as bytes; `undefined`: as the request says of all. */
function outputsOf(outputs: unknown): ReadonlyMap<string, boolean | undefined> {
  if (!Array.isArray(outputs)) throw wrong('outputs', 'must be a list.')
  return new Map(
    outputs.map((output: unknown, index) => {
      const { name, parameters } = (output ?? {}) as {
        name?: unknown
        parameters?: { binary_data?: boolean }
      }
      if (typeof name !== 'string') throw wrong(`outputs[${index}].name`, 'must be a text.')
      return [name, parameters?.binary_data] as const
    }),
  )
}

function stepOf(id: unknown, start: unknown, end: unknown): SequenceStep {
  return { id: String(id), ...(start === true ? { start } : {}), ...(end === true ? { end } : {}) }
}

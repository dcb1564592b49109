import type { GenerateOptions } from '../../client-options.ts'
import { readFields, unsupported, wrong } from '../openai/fields.ts'
import { EXTRA_RULES, SAMPLING_RULES, generateOptions } from '../openai/sampling-fields.ts'
import type { KServeInferRequest } from './shapes.ts'

export const TEXT_INPUT = { name: 'text_input', datatype: 'BYTES' as const, shape: [1] }
export const TEXT_OUTPUT = { name: 'text_output', datatype: 'BYTES' as const, shape: [1] }

/** A request as the engine takes it. Throws `bad_request` for other tensors than one text, `unsupported_parameter`. */
export function inferOptions(request: KServeInferRequest): Omit<GenerateOptions, 'model'> {
  const fields = readFields(
    request,
    { id: 'used', inputs: 'used', parameters: 'used', outputs: isTextOutput },
    'infer',
  )
  const parameters = readFields(fields['parameters'] ?? {}, { ...SAMPLING_RULES, ...EXTRA_RULES }, 'infer')
  const { inputs } = fields
  if (!Array.isArray(inputs) || inputs.length !== 1)
    throw wrong('inputs', `must be one tensor, ${TEXT_INPUT.name}.`)
  const tensor = (inputs[0] ?? {}) as Record<string, unknown>
  const { name, datatype, shape, data } = tensor
  if (name !== TEXT_INPUT.name) throw wrong('inputs[0].name', `must be ${TEXT_INPUT.name}.`)
  if (datatype !== 'BYTES') throw wrong('inputs[0].datatype', 'must be BYTES.')
  if (!Array.isArray(shape) || shape.length !== 1 || shape[0] !== 1)
    throw wrong('inputs[0].shape', 'must be [1].')
  if (!Array.isArray(data) || data.length !== 1 || typeof data[0] !== 'string')
    throw wrong('inputs[0].data', 'must be a list of one text.')
  if (parameters['n'] !== undefined && parameters['n'] !== 1)
    throw unsupported('n', 'infer gives one answer; ask for more with /v1/completions.')
  return { ...generateOptions(parameters), prompt: data[0] }
}

function isTextOutput(outputs: unknown): boolean {
  return (
    Array.isArray(outputs) &&
    outputs.every((output: unknown) => (output as { name?: unknown })?.name === TEXT_OUTPUT.name)
  )
}

import type { GenerateRequest } from '@tabserve/protocol'
import type { RemoteProtocol } from './remote-protocol.ts'
import { finishReasonOf, samplingBody } from './remote-protocol.ts'

/**
 * The generate extension of KServe's v2 protocol, as Triton has it. It has no word for the end of an answer, nor for its usage; a `finish_reason` is
 * taken where a backend sends one.
 */
export const kserveProtocol: RemoteProtocol = {
  saysEnd: false,
  path(_request, model) {
    const [name = '', version] = model.split('@')
    const folder = version === undefined ? '' : `/versions/${encodeURIComponent(version)}`
    return `v2/models/${encodeURIComponent(name)}${folder}/generate_stream`
  },
  body: (request) => ({
    text_input: request.prompt,
    parameters: { ...samplingBody(request), ...stopParameter(request), stream: true },
  }),
  pieces(event) {
    if (event['error'] !== undefined) return [{ type: 'error', message: String(event['error']) }]
    const text = event['text_output']
    const reason = event['finish_reason']
    return [
      ...(typeof text === 'string' && text !== '' ? [{ type: 'text', choice: 0, text } as const] : []),
      ...(typeof reason === 'string' && reason !== ''
        ? [{ type: 'end', choice: 0, reason: finishReasonOf(reason) } as const]
        : []),
    ]
  },
}

/** A parameter is a string, a number or a boolean: of a list of stop strings the one that there is, and `fallback` keeps longer ones here. */
function stopParameter({ stop }: GenerateRequest): { stop?: string | undefined } {
  return Array.isArray(stop) ? { stop: stop[0] as string | undefined } : {}
}

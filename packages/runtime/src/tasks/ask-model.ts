import type { Manifest, Request, RequestEvent, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Served } from '@tabserve/engine'

/**
 * Asks a model of this worker as the page would, through its queue, and gives its answer: what its handler gives; tensors where it has none; of a
 * decoder, which takes a prompt or `{ messages, … }`, the text.
 */
export function askModel(
  { manifest, served }: { readonly manifest: Manifest; readonly served: Served },
  input: unknown,
  parameters: Readonly<Record<string, unknown>> | undefined,
  signal: AbortSignal,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    let text = ''
    let cancel = () => {}
    const onAbort = () => cancel()
    signal.addEventListener('abort', onAbort)
    const take = (event: RequestEvent) => {
      if (event.type === 'delta') {
        if (event.choice === 0) text += event.text
        return
      }
      signal.removeEventListener('abort', onAbort)
      if (event.type === 'error') reject(EngineError.fromWire(event.error))
      else if (event.type === 'finish') resolve(text)
      else resolve(event.outputs ?? event.output)
    }
    cancel = served.submit(requestOf(manifest, input, parameters), take)
    if (signal.aborted) cancel()
  })
}

function requestOf(
  manifest: Manifest,
  input: unknown,
  parameters: Readonly<Record<string, unknown>> = {},
): Request {
  const model = manifest.name
  if (manifest.task === 'generate') {
    const asked = typeof input === 'string' ? { prompt: input } : (input as object)
    return { ...parameters, ...asked, task: 'generate', model }
  }
  if (manifest.handler === undefined) return { task: 'infer', model, inputs: input as Tensors, parameters } // `checkTensors` looks at it
  return { task: 'run', model, input, parameters }
}

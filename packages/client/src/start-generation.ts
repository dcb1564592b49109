import type { RequestEvent } from '@tabserve/protocol'
import { toWireError } from '@tabserve/protocol'
import type { Listener } from './control/dispatcher.ts'
import { Generation } from './generation.ts'

/** A generation on its way. @param submit sends its request at once and returns how to cancel; what it throws is the generation's failure. */
export function startGeneration(
  signal: AbortSignal | undefined,
  submit: (listener: Listener) => () => void,
): Generation {
  let cancelRequest = () => {}
  const generation = new Generation(() => cancelRequest())
  const cancel = () => generation.cancel()
  const take = (event: RequestEvent) => {
    generation.take(event)
    if (event.type !== 'delta') signal?.removeEventListener('abort', cancel)
  }
  signal?.addEventListener('abort', cancel)
  try {
    cancelRequest = submit({ servedBy: (server) => generation.setServedBy(server), take })
  } catch (error) {
    take({ type: 'error', error: toWireError(error, 'bad_request') })
  }
  if (signal?.aborted === true) cancel()
  return generation
}

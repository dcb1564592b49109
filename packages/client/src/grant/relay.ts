import type { GrantedEvent, RequestCommand } from '@tabserve/protocol'
import { toWireError } from '@tabserve/protocol'
import type { Listener } from '../control/dispatcher.ts'

/**
 * Carries one request of a grant's holder to the control plane, and what is said of it to the holder's port, which closes behind the last word.
 * Returns how to cancel. @param isCancelled it was cancelled before it came. @param onEnd called once, behind the last word.
 */
export function relay(
  port: MessagePort,
  submit: (listener: Listener) => () => void,
  isCancelled: boolean,
  onEnd: () => void,
): () => void {
  let cancel = () => {}
  const say = (event: GrantedEvent) => port.postMessage(event)
  const listener: Listener = {
    servedBy: (server) => say({ type: 'served-by', server }),
    take(event) {
      say(event)
      if (event.type === 'delta') return
      port.close()
      onEnd()
    },
  }
  port.onmessage = ({ data }: MessageEvent<Partial<RequestCommand> | null>) => {
    if (data?.type === 'cancel') cancel()
  }
  // Where browsers tell: a holder that is gone waits for nothing.
  port.addEventListener('close', () => cancel())
  try {
    cancel = submit(listener)
    if (isCancelled) cancel()
  } catch (error) {
    listener.take({ type: 'error', error: toWireError(error, 'bad_request') })
  }
  return cancel
}

/**
 * Resolves after the messages that are waiting have been served. A message to ourselves, because the browser slows timers
 * down to one a second in hidden tabs, and an awaited promise alone would let no message in.
 */
export function breathe(): Promise<void> {
  return new Promise((resolve) => {
    const { port1, port2 } = new MessageChannel()
    port1.onmessage = () => {
      port1.close()
      resolve()
    }
    port2.postMessage(null)
  })
}

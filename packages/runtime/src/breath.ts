/** Lets messages in between two steps. */
export interface Breath {
  /** Resolves after the messages that are waiting have been served. */
  take(): Promise<void>
  /** Closes the channel; who is still waiting goes on. */
  dispose(): void
}

/**
 * Breathes by a message to itself, because the browser slows timers down to one a second in hidden tabs, and an awaited promise
 * alone would let no message in. One channel for all breaths: to make one costs more than to send a message.
 */
export function createBreath(): Breath {
  const { port1, port2 } = new MessageChannel()
  const waiting: (() => void)[] = []
  port1.onmessage = () => waiting.shift()?.()
  return {
    take: () =>
      new Promise((resolve) => {
        waiting.push(resolve)
        port2.postMessage(null)
      }),
    dispose() {
      port1.close()
      for (const resolve of waiting.splice(0)) resolve()
    },
  }
}

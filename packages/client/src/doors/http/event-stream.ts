export interface EventStreamOptions<Event> {
  readonly events: AsyncIterableIterator<Event, void, void>
  /** One event as server-sent events are written. */
  write(event: Event): string
  /** What stands at the end. */
  readonly end: string
  /** An error that came after the head had gone out, as the last event. */
  fail(error: unknown): string
  /** Fires when the caller aborts; the body then fails with its reason. */
  readonly signal: AbortSignal
  /** Called when the reader leaves. */
  leave(): void
}

/** A response that tells events as they come. */
export function eventStream<Event>(options: EventStreamOptions<Event>): Response {
  return new Response(bodyOf(options), {
    headers: { 'content-type': 'text/event-stream; charset=utf-8', 'cache-control': 'no-cache' },
  })
}

function bodyOf<Event>({
  events,
  write,
  end,
  fail,
  signal,
  leave,
}: EventStreamOptions<Event>): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder()
  let fire = () => {}
  return new ReadableStream<Uint8Array>({
    start(controller) {
      fire = () => controller.error(signal.reason)
      signal.addEventListener('abort', fire)
    },
    async pull(controller) {
      const last = (text: string) => {
        if (signal.aborted) return // the body has failed already
        signal.removeEventListener('abort', fire)
        controller.enqueue(encoder.encode(text))
        controller.close()
      }
      try {
        const { done, value } = await events.next()
        if (done === true) last(end)
        else if (!signal.aborted) controller.enqueue(encoder.encode(write(value)))
      } catch (error) {
        last(fail(error))
      }
    },
    cancel() {
      signal.removeEventListener('abort', fire)
      leave()
    },
  })
}

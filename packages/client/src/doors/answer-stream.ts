import type { DeltaEvent } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Generation, GenerationResult } from '../generation.ts'

/** What an answer says on its way, and at last everything that it gave. */
export type AnswerEvent = DeltaEvent | { readonly type: 'end'; readonly result: GenerationResult }

/** The events of a generation. Throws `aborted` when the signal has ended it: in the doors' worlds an abort is an error. */
export async function* answerEvents(
  generation: Generation,
  signal: AbortSignal | undefined,
): AsyncGenerator<AnswerEvent, void, void> {
  for await (const delta of generation) yield delta
  yield { type: 'end', result: await wholeAnswer(generation, signal) }
}

/** Throws `aborted` when the signal has ended it. */
export async function wholeAnswer(
  generation: Generation,
  signal: AbortSignal | undefined,
): Promise<GenerationResult> {
  const result = await generation
  if (signal?.aborted === true && result.choices.some(({ finishReason }) => finishReason === 'abort'))
    throw new EngineError('aborted', 'The signal fired before the answer was complete.')
  return result
}

/** Waits for a stream's first piece, so that what is refused fails here and not in the loop. Leaving it early ends the stream. */
export async function begun<T>(
  stream: AsyncGenerator<T, void, void>,
): Promise<AsyncIterableIterator<T, void, void>> {
  let first: IteratorResult<T, void> | undefined = await stream.next()
  const iterator: AsyncIterableIterator<T, void, void> = {
    next() {
      const result = first
      first = undefined
      return result === undefined ? stream.next() : Promise.resolve(result)
    },
    return: () => stream.return(),
    [Symbol.asyncIterator]: () => iterator,
  }
  return iterator
}

/** Several streams as one, each piece as it comes. Leaving the loop calls `leave`, which must end them all. */
export async function* merged<T>(
  streams: readonly AsyncGenerator<T, void, void>[],
  leave: () => void,
): AsyncGenerator<readonly [index: number, piece: T], void, void> {
  const next = async (index: number) => ({ index, result: await streams[index]!.next() })
  const pending = new Map(streams.map((_, index) => [index, next(index)]))
  try {
    while (pending.size > 0) {
      const { index, result } = await Promise.race(pending.values())
      if (result.done === true) pending.delete(index)
      else {
        pending.set(index, next(index))
        yield [index, result.value]
      }
    }
  } finally {
    for (const piece of pending.values()) piece.catch(() => {}) // nobody listens to them any more
    leave()
  }
}

import { TextStream } from '@tabserve/engine'

/** What an answer of these tokens has said. */
export function saidText(
  answer: readonly number[],
  decode: ((tokens: readonly number[]) => string) | undefined,
  stop: readonly string[],
  prompt: readonly number[],
): string {
  if (decode === undefined) return ''
  const stream = new TextStream(decode, stop, prompt)
  return answer.map((token) => stream.push(token)).join('')
}

import type { EncodedText } from '../../tokenizer.ts'

/** Takes tokens off a text's end; the special ones before and behind it stay. @param plain the text's tokens alone. */
export function truncateText(encoded: EncodedText, plain: readonly number[], most: number): EncodedText {
  const start = Math.max(0, findRun(encoded.ids, plain, 0))
  return without(encoded, start + plain.length, encoded.ids.length - most)
}

/** Takes tokens off the end of the longer of two texts until both fit, as `longest_first` does. */
export function truncatePair(
  encoded: EncodedText,
  first: readonly number[],
  second: readonly number[],
  most: number,
): EncodedText {
  const surplus = encoded.ids.length - most
  const firstEnd = Math.max(0, findRun(encoded.ids, first, 0)) + first.length
  const secondEnd = Math.max(firstEnd, findRun(encoded.ids, second, firstEnd)) + second.length
  const offLonger = Math.min(surplus, Math.abs(first.length - second.length))
  const rest = surplus - offLonger
  const longerIsFirst = first.length > second.length
  const offFirst = (longerIsFirst ? offLonger : 0) + Math.floor(rest / 2)
  const offSecond = surplus - offFirst
  return without(without(encoded, secondEnd, offSecond), firstEnd, offFirst)
}

/** Without the `count` tokens before `end`. */
function without({ ids, types }: EncodedText, end: number, count: number): EncodedText {
  const from = Math.max(0, end - count)
  return { ids: ids.toSpliced(from, end - from), types: types.toSpliced(from, end - from) }
}

/** Where a run of tokens begins, or -1. */
function findRun(ids: readonly number[], run: readonly number[], from: number): number {
  for (let start = from; start + run.length <= ids.length; start++)
    if (run.every((id, index) => ids[start + index] === id)) return start
  return -1
}

import type { KvPlace, ModelRunner } from '../../packages/engine/src/model-runner.ts'

/**
 * Throws at the first promise about KV as bytes that a runner does not keep. Plain code, so that it runs in a page as in Node.
 * @param first, second the same model in two runners of the same kind, with two rows at least; `second` was not asked anything yet.
 * @param within how far logits may be apart.
 */
export async function checkKvBytes(first: ModelRunner, second: ModelRunner, within = 0): Promise<void> {
  const { maxContext, vocabSize } = first.capabilities
  // Longer than the room that rows begin with, where the context is; and no whole number of blocks.
  const length = Math.min(maxContext - 3, 155)
  const text = list(length, 0, vocabSize)
  const due = 7 % vocabSize
  await read(first, 0, text)
  const wanted = await next(first, 0, length, due)
  const bytes = await first.readKv(placeOf(first, 0), length)
  const part = await first.readKv(placeOf(first, 0), 21)
  expect(first.kvLayout === second.kvLayout, 'runners of one kind have one layout')

  await second.writeKv(placeOf(second, 1), length, bytes)
  expect(
    same(await second.readKv(placeOf(second, 1), length), bytes),
    'what was written is read again, also by a runner that has computed nothing yet',
  )
  expectClose(await next(second, 1, length, due), wanted, within, 'a text goes on in another runner')
  await read(second, 0, list(40, 5, vocabSize))
  expectClose(await next(second, 1, length, due), wanted, within, 'beside other texts, too')

  await read(first, 1, list(30, 9, vocabSize))
  await first.writeKv(placeOf(first, 1), 21, part)
  const shorter = await next(first, 1, 21, due)
  await read(second, 0, text.slice(0, 21))
  expectClose(shorter, await next(second, 0, 21, due), within, 'a beginning in the place of another text')
  expectClose(await next(first, 0, length, due), wanted, within, 'others keep theirs')

  const refusal = await second.writeKv(placeOf(second, 1), length, bytes.slice(4)).then(
    () => undefined,
    (error: unknown) => error,
  )
  expect(refusal instanceof Error, 'bytes of another length are refused')
  expectClose(await next(second, 1, length, due), wanted, within, 'and then nothing is written')
}

/** Row `index`, or as many blocks of its own, which are no neighbours. */
function placeOf({ capabilities: { paged, maxContext } }: ModelRunner, index: number): KvPlace {
  if (paged === undefined) return { row: index }
  const length = Math.ceil(maxContext / paged.blockTokens)
  return { blocks: Int32Array.from({ length }, (_, block) => 2 * block + index) }
}

async function read(runner: ModelRunner, index: number, tokens: readonly number[]): Promise<void> {
  const { maxTokensPerStep } = runner.capabilities
  for (let from = 0; from < tokens.length; from += maxTokensPerStep)
    await step(runner, index, from, tokens.slice(from, from + maxTokensPerStep))
}

function next(runner: ModelRunner, index: number, from: number, token: number): Promise<Float32Array> {
  return step(runner, index, from, [token])
}

async function step(
  runner: ModelRunner,
  index: number,
  from: number,
  tokens: readonly number[],
): Promise<Float32Array> {
  const place = placeOf(runner, index)
  const blockTokens = runner.capabilities.paged?.blockTokens ?? 1
  const kv =
    'row' in place
      ? place
      : { blocks: place.blocks.subarray(0, Math.ceil((from + tokens.length) / blockTokens)) }
  const run = { kv, from, tokens: Int32Array.from(tokens), wantLogits: 'last' as const, top: 0 }
  const { outputs } = await runner.run({ runs: [run] })
  return outputs[0]!.values.slice()
}

function list(length: number, seed: number, vocabSize: number): number[] {
  return Array.from({ length }, (_, index) => (3 + index * 7 + seed) % vocabSize)
}

function same(left: Uint8Array, right: Uint8Array): boolean {
  return left.byteLength === right.byteLength && left.every((byte, index) => byte === right[index])
}

function expectClose(found: Float32Array, wanted: Float32Array, within: number, promise: string): void {
  const error = Math.max(...wanted.map((value, index) => Math.abs(value - (found[index] ?? NaN))))
  expect(error <= within, `${promise} (logits are ${error} apart)`)
}

function expect(isKept: boolean, promise: string): void {
  if (!isKept) throw new Error(`the runner does not keep its promise: ${promise}`)
}

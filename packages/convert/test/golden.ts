import { readFile } from 'node:fs/promises'
import type { DecoderSession } from '../src/evaluation/decoder-session.ts'
import { argmax } from './decoder-session.ts'
import { shared } from './shared.ts'

/** What an independent implementation made of stories260K, first token included. */
export async function goldenIds(): Promise<readonly number[]> {
  const golden = JSON.parse(await readFile(shared('models/golden/stories260K.json'), 'utf8')) as {
    readonly greedy_ids: readonly number[]
  }
  return golden.greedy_ids
}

/** The first token and what follows it greedily, `length` in all. */
export async function greedy(session: DecoderSession, first: number, length: number): Promise<number[]> {
  session.reset(1, length)
  const ids = [first]
  while (ids.length < length) {
    const [logits = new Float32Array()] = await session.run([[ids.at(-1)!]], [ids.length - 1])
    ids.push(argmax(logits))
  }
  return ids
}

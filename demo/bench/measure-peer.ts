import { heldBytes, servedBytes } from './browser-facts.ts'
import { openPeer } from './frame.ts'
import type { MeasureId } from './measures.ts'
import type { PeerId } from './peers/index.ts'
import type { Peer, PeerSettings } from './peers/peer.ts'
import type { ModelFacts } from './prompts.ts'
import { Prompts } from './prompts.ts'
import { timed, watchBlocking } from './timing.ts'

export interface MeasureOptions extends PeerSettings {
  readonly model: ModelFacts
  /** Which round this is: each has prompts of its own. */
  readonly round: number
  /** How often everything that is asked is asked. */
  readonly repeats: number
  /** Lengths that are quickly read, for a test of the page. */
  readonly isShort: boolean
  /** What the page held before any engine. */
  readonly heldBefore: number | undefined
  say(what: string): void
}

export interface Measured {
  readonly samples: Readonly<Partial<Record<MeasureId, readonly number[]>>>
  /** The answers to the prompts that are the same in every run, a text a token. */
  readonly greedy: readonly (readonly string[])[]
}

const MB = 1e6
const GREEDY_PROMPTS = 3
const GREEDY_SEED = 2026
export const GREEDY_TOKENS = 32

/** Everything of one engine in one round: a first visit, a later one, and what is asked there. */
export async function measurePeer(id: PeerId, options: MeasureOptions): Promise<Measured> {
  const samples = new Samples()
  options.say('first visit')
  await firstVisit(id, options, samples)
  options.say('later visit')
  const watch = watchBlocking()
  const began = performance.now()
  const { peer, close } = await openPeer(id, options)
  samples.add('load-warm', performance.now() - began)
  samples.add('blocked-loading', watch.stop())
  try {
    const greedy = await ask(peer, options, samples)
    // Once is enough: a browser may take seconds to count.
    if (options.round === 0) {
      options.say('memory')
      samples.add('memory', difference(options.heldBefore, await heldBytes()))
    }
    return { samples: samples.all, greedy }
  } finally {
    await peer.forget()
    await close()
  }
}

async function firstVisit(id: PeerId, options: MeasureOptions, samples: Samples): Promise<void> {
  const servedBefore = await servedBytes()
  const began = performance.now()
  const { close } = await openPeer(id, options)
  samples.add('load-cold', performance.now() - began)
  samples.add('downloaded', difference(servedBefore, await servedBytes()))
  await close()
}

async function ask(
  peer: Peer,
  { model, round, repeats, isShort, say }: MeasureOptions,
  samples: Samples,
): Promise<string[][]> {
  const prompts = new Prompts(model, 1 + round)
  const [long, answer] = isShort ? [24, 8] : [512, 64]
  say('warming up')
  await timed(peer, [prompts.next(long / 4)], { maxTokens: answer / 2 })
  await timed(peer, prompts.several(8, 16), { maxTokens: answer / 4 })
  for (let repeat = 0; repeat < repeats; repeat++) {
    say('first tokens')
    for (const [id, length] of [
      ['first-16', 16],
      ['first-128', long / 4],
      ['first-512', long],
    ] as const)
      samples.add(id, (await timed(peer, [prompts.next(length)], { maxTokens: 1 })).firstMs)
    samples.add('second-turn', await secondTurn(peer, prompts, long / 2))
    say('an answer')
    const { firstMs, lastMs } = await timed(peer, [prompts.next(16)], { maxTokens: answer })
    samples.add('decode', (1000 * (answer - 1)) / (lastMs - firstMs))
    say('several at once')
    for (const [id, count] of [
      ['at-once-1', 1],
      ['at-once-4', 4],
      ['at-once-8', 8],
    ] as const) {
      const arrivals = await timed(peer, prompts.several(count, 16), { maxTokens: answer / 2 })
      samples.add(id, (1000 * arrivals.numTokens) / arrivals.lastMs)
    }
    const watch = watchBlocking()
    await timed(peer, [prompts.next(long / 4)], { maxTokens: answer / 2 })
    samples.add('blocked-answering', watch.stop())
  }
  say('greedy texts')
  const same = new Prompts(model, GREEDY_SEED)
  const greedy: string[][] = []
  for (let prompt = 0; prompt < GREEDY_PROMPTS; prompt++)
    greedy.push([...(await timed(peer, [same.next(16)], { maxTokens: GREEDY_TOKENS })).texts])
  return greedy
}

/** Time to the first token of a prompt whose beginning was answered just before: a conversation that goes on. */
async function secondTurn(peer: Peer, prompts: Prompts, length: number): Promise<number> {
  const first = prompts.next(length)
  await timed(peer, [first], { maxTokens: 1 })
  return (await timed(peer, [prompts.more(first, 32)], { maxTokens: 1, continues: true })).firstMs
}

/** In MB; `undefined` where one of them is not known. */
function difference(before: number | undefined, after: number | undefined): number | undefined {
  return before === undefined || after === undefined ? undefined : (after - before) / MB
}

class Samples {
  readonly #all: Partial<Record<MeasureId, number[]>> = {}

  get all(): Readonly<Partial<Record<MeasureId, readonly number[]>>> {
    return this.#all
  }

  add(id: MeasureId, value: number | undefined): void {
    if (value !== undefined) (this.#all[id] ??= []).push(value)
  }
}

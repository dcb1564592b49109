import { heldBytes } from './browser-facts.ts'
import type { Measured } from './measure-peer.ts'
import { measurePeer } from './measure-peer.ts'
import type { MeasureId } from './measures.ts'
import type { PeerId } from './peers/index.ts'
import { OURS, PEERS, PEER_IDS } from './peers/index.ts'
import type { ModelFacts } from './prompts.ts'
import type { Report } from './report.ts'

export interface BenchmarkOptions {
  /** Address of the folder of models, with a slash at its end. */
  readonly models: string
  readonly threads: number
  readonly rounds: number
  readonly repeats: number
  readonly isShort: boolean
  /** @param done share of the whole, 0 to 1. */
  onProgress(what: string, done: number): void
}

/** Measures every engine in every round, one after the other, so that a slow moment of the machine hits all of them. */
export async function runBenchmark(options: BenchmarkOptions): Promise<Report> {
  const { models, threads, rounds, onProgress } = options
  const model = await factsOf(models)
  onProgress('Counting memory', 0)
  // Now: a minute passes where a worker has just been ended.
  const heldBefore = await heldBytes()
  const measured = new Map<PeerId, Measured[]>(PEER_IDS.map((id) => [id, []]))
  for (let round = 0; round < rounds; round++) {
    for (const [index, id] of PEER_IDS.entries()) {
      const done = (round * PEER_IDS.length + index) / (rounds * PEER_IDS.length)
      const say = (what: string): void =>
        onProgress(`Round ${round + 1} of ${rounds} · ${PEERS[id].name}: ${what}`, done)
      measured.get(id)?.push(await measurePeer(id, { ...options, model, round, heldBefore, say }))
    }
  }
  onProgress('Done', 1)
  const reference = measured.get(OURS)?.[0]?.greedy ?? []
  return {
    format: 'tabserve-peers',
    formatVersion: 1,
    date: new Date().toISOString(),
    browser: navigator.userAgent,
    cores: navigator.hardwareConcurrency,
    threads,
    isIsolated: crossOriginIsolated,
    rounds,
    model: model.name,
    parameters: model.parameters,
    peers: Object.fromEntries([...measured].map(([id, runs]) => [id, joined(runs, reference)])),
  }
}

async function factsOf(models: string): Promise<ModelFacts> {
  const response = await fetch(`${models}model.json`)
  if (!response.ok)
    throw new Error(`There are no models at ${models}: “npm start” and “npm run bench -- peers” make them.`)
  return (await response.json()) as ModelFacts
}

function joined(runs: readonly Measured[], reference: Measured['greedy']) {
  const samples: Partial<Record<MeasureId, number[]>> = {}
  for (const run of runs)
    for (const [id, values] of Object.entries(run.samples) as [MeasureId, number[]][])
      samples[id] = [...(samples[id] ?? []), ...values]
  samples.agreement = runs.flatMap(({ greedy }) =>
    greedy.map((texts, prompt) => commonLength(texts, reference[prompt] ?? [])),
  )
  return samples
}

/** How many tokens are the same before the first that is another. Spaces aside: some libraries leave them out of a token that is decoded alone. */
function commonLength(texts: readonly string[], others: readonly string[]): number {
  const different = texts.findIndex((text, index) => text.trim() !== others[index]?.trim())
  return different === -1 ? texts.length : different
}

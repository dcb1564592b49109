import type { ModelInfo } from 'tabserve'
import { make } from './element.ts'
import { bytes, count, duration } from './format.ts'

/** Fills the list of facts about a loaded model: what it is, where it runs, what loading cost. */
export function showFacts(list: HTMLDListElement, model: ModelInfo): void {
  list.replaceChildren(
    ...facts(model).flatMap(([term, fact]) => [make('dt', { text: term }), make('dd', { text: fact })]),
  )
  list.hidden = false
}

function facts({ manifest, load, ...model }: ModelInfo): readonly (readonly [term: string, fact: string])[] {
  return [
    ['Model', `${model.id}, ${weightsOf(manifest)}`],
    [
      'Runs on',
      `${model.threads} ${model.threads === 1 ? 'thread' : 'threads'}, page ${crossOriginIsolated ? 'isolated' : 'not isolated'}`,
    ],
    [
      'KV cache',
      `${bytes(model.kvBytes)}, ${model.contextLength} tokens, ${model.runner} runner${because(model.runnerReason)}`,
    ],
    ['Weights', `${sources(load)}${because(load.notStored?.message)}`],
    [
      'Load',
      `fetch ${duration(load.fetchMs)}, create ${duration(load.createMs)}, warm-up ${duration(load.warmupMs)}`,
    ],
    ...(manifest.license === undefined ? [] : [['Licence', manifest.license] as const]),
  ]
}

/** The form of the weights; of a graph that somebody else exported, the file says it. */
function weightsOf({ graph, parameters }: ModelInfo['manifest']): string {
  const form = graph.kind === 'decoder-gqa' ? graph.weights : graph.file
  return parameters === undefined ? form : `${count(parameters)} weights, ${form}`
}

function sources({ networkBytes, storedBytes, localBytes }: ModelInfo['load']): string {
  const network = networkBytes > 0 ? [`${bytes(networkBytes)} from the network`] : []
  const stored = storedBytes > 0 ? [`${bytes(storedBytes)} from IndexedDB`] : []
  const local = localBytes > 0 ? [`${bytes(localBytes)} from your files`] : []
  return [...network, ...stored, ...local].join(', ')
}

function because(reason: string | undefined): string {
  return reason === undefined ? '' : ` (${reason})`
}

import type { Label } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { TaskModel } from './task-model.ts'

/** The names of a model's outputs: the manifest's `options.labels`, or the `id2label` of its config.json; none: `LABEL_0`, … */
export async function readLabels(model: TaskModel): Promise<LabelMap> {
  const { labels } = model.options
  if (Array.isArray(labels)) return new LabelMap(labels.map(String))
  const { id2label } = await model.json('config.json')
  if (!isRecord(id2label)) return new LabelMap([])
  const names: string[] = []
  for (const [id, name] of Object.entries(id2label)) names[Number(id)] = String(name)
  return new LabelMap(names)
}

export class LabelMap {
  readonly #names: readonly (string | undefined)[]

  constructor(names: readonly (string | undefined)[]) {
    this.#names = names
  }

  name(index: number): string {
    return this.#names[index] ?? `LABEL_${index}`
  }

  /** The index of the label that `matches`, or -1. */
  find(matches: (name: string) => boolean): number {
    return this.#names.findIndex((name) => name !== undefined && matches(name))
  }

  /** The best labels first. */
  best(scores: ArrayLike<number>, count: number): Label[] {
    return Array.from(scores, (score, index) => ({ label: this.name(index), score }))
      .toSorted((a, b) => b.score - a.score)
      .slice(0, count)
  }
}

export function badLabels(message: string): EngineError {
  return new EngineError('bad_model', `${message} Say which in the manifest's options.labels.`)
}

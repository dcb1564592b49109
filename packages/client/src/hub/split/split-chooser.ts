import type { LoadReport, LoadRequest, ModelInfo, Split, SplitChoice, SplitReport } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { modelBytes } from '../../control/memory-budget.ts'
import type { KeptVerdicts } from './kept-verdicts.ts'
import type { Machine } from './split-candidates.ts'
import { splitCandidates } from './split-candidates.ts'
import type { Metered } from './split-meter.ts'
import { splitVerdict } from './split-verdict.ts'

export interface SplitChooserPorts {
  readonly machine: Machine
  /** The browser, another of which is another machine. */
  readonly userAgent: string
  readonly verdicts: Pick<KeptVerdicts, 'find' | 'keep'>
  /** Loads the model so and measures it. @param port where the first load tells of itself. */
  readonly meter: (request: LoadRequest, split: Split, port?: MessagePort) => Promise<Metered>
  /** Bytes that are left for a model. */
  readonly roomBytes: () => number
}

export interface ChosenSplit {
  readonly choice: SplitChoice
  /** What the load before the measurement has cost, where there was one: the next finds everything in the store. */
  readonly report?: LoadReport
}

/** How many replicas a model gets that leaves it to the machine, and with how many threads: measured once for a model and machine. */
export class SplitChooser {
  readonly #ports: SplitChooserPorts

  constructor(ports: SplitChooserPorts) {
    this.#ports = ports
  }

  /** @param port is used up where the result has a report. Throws what keeps the model from loading. */
  async choose(request: LoadRequest, port: MessagePort): Promise<ChosenSplit> {
    const [alone, ...others] = splitCandidates(this.#ports.machine)
    if (alone === undefined) throw new Error('a machine without a core')
    if (others.length === 0) return { choice: byFacts(alone, 'there are no cores to share out') }
    const { device, runner } = request
    if (device === 'webgpu' || runner === 'webgpu') return { choice: byFacts(alone, ONE_ON_GPU) }
    const key = this.#keyOf(request)
    const kept = key === undefined ? undefined : this.#ports.verdicts.find(key)
    if (kept !== undefined) {
      const candidates = kept.candidates.map((each) => this.#problemOf(each, kept.replicaBytes) ?? each)
      return { choice: { ...splitVerdict(candidates), by: 'kept' } }
    }
    return this.#measure(request, [alone, ...others], key, port)
  }

  async #measure(
    request: LoadRequest,
    [alone, ...others]: readonly [Split, ...Split[]],
    key: string | undefined,
    port: MessagePort,
  ): Promise<ChosenSplit> {
    const first = await this.#ports.meter(request, alone, port)
    const { info } = first
    if (info.choice.device === 'webgpu') return { choice: byFacts(alone, ONE_ON_GPU), report: info.load }
    const candidates: SplitReport[] = [{ ...alone, tokensPerSecond: first.tokensPerSecond }]
    const again = { ...request, refresh: false }
    for (const split of others) candidates.push(await this.#reportOf(again, split, info))
    // What was left out for want of memory is measured another time.
    const isWhole = candidates.every(({ tokensPerSecond }) => tokensPerSecond !== undefined)
    if (key !== undefined && isWhole)
      this.#ports.verdicts.keep(key, { replicaBytes: modelBytes(info), candidates })
    return { choice: { ...splitVerdict(candidates), by: 'measured' }, report: info.load }
  }

  async #reportOf(request: LoadRequest, split: Split, info: ModelInfo): Promise<SplitReport> {
    const problem = this.#problemOf(split, modelBytes(info))
    if (problem !== undefined) return problem
    try {
      const { tokensPerSecond } = await this.#ports.meter(request, split)
      return { ...split, tokensPerSecond }
    } catch (error) {
      if (!(error instanceof EngineError)) throw error
      return { ...split, problem: error.message }
    }
  }

  /** One alone is let in or not by whoever loads it. */
  #problemOf({ replicas, threads }: Split, replicaBytes: number): SplitReport | undefined {
    if (replicas === 1 || replicas * replicaBytes <= this.#ports.roomBytes()) return undefined
    return { replicas, threads, problem: 'memoryBudgetBytes has no room for it' }
  }

  /** None for picked files, which the next load may not have. */
  #keyOf({ files, refresh: _, ...request }: LoadRequest): string | undefined {
    if (files !== undefined) return undefined
    const { machine, userAgent } = this.#ports
    return JSON.stringify([Object.entries(request).toSorted(), machine, userAgent])
  }
}

const ONE_ON_GPU = 'a model on the GPU has one replica'

function byFacts(split: Split, reason: string): SplitChoice {
  return { ...split, reason, by: 'facts', candidates: [] }
}

import type { CandidateReport, DeviceName } from '@tabserve/protocol'
import type { ChunkStore } from '../storage/chunk-store.ts'

/** What was measured of a model on a device. */
export interface Verdict {
  readonly device: DeviceName
  readonly reason: string
  readonly candidates: readonly CandidateReport[]
}

/** Verdicts by model and device, so that one load in a lifetime pays for the comparison. A store that fails costs another comparison, no more. */
export class Verdicts {
  readonly #store: ChunkStore

  constructor(store: ChunkStore) {
    this.#store = store
  }

  async find(key: string): Promise<Verdict | undefined> {
    const value = (await this.#store.readEntry(key).catch(() => undefined)) as Verdict | undefined // then it is measured again
    const isWhole = Array.isArray(value?.candidates) && typeof value.reason === 'string'
    return isWhole && (value.device === 'wasm' || value.device === 'webgpu') ? value : undefined
  }

  async keep(key: string, verdict: Verdict): Promise<void> {
    await this.#store.write({ entries: [[key, verdict]] }).catch(() => {}) // the next load measures again
  }
}

/** The verdict on one candidate on the CPU, which is right, and one on the GPU. */
export function verdictOf([onCpu, onGpu]: readonly [CandidateReport, CandidateReport]): Verdict {
  const candidates = [onCpu, onGpu]
  if (!onGpu.selfTest.passed)
    return { device: 'wasm', reason: `the GPU failed the self-test: ${onGpu.selfTest.problem}`, candidates }
  const [cpuMs = Infinity, gpuMs = Infinity] = [onCpu.msPerToken, onGpu.msPerToken]
  const device = gpuMs < cpuMs ? 'webgpu' : 'wasm'
  const reason = `measured ${gpuMs.toFixed(1)} ms a token on the GPU and ${cpuMs.toFixed(1)} ms on the CPU`
  return { device, reason, candidates }
}

import type { DeviceName, RunnerName } from './api.ts'

/** The GPU as the browser shows it. */
export interface GpuFacts {
  readonly vendor: string
  readonly architecture: string
  readonly description: string
  /** A CPU that pretends: correct, and far slower than the wasm backend. */
  readonly isSoftware: boolean
  /** Whether shaders can compute in half precision. */
  readonly hasHalf: boolean
  readonly maxBufferBytes: number
  /** Largest buffer that a shader can be given: bounds one layer's K or V of all rows. */
  readonly maxBindingBytes: number
}

/** What there is to run models on. */
export interface MachineFacts {
  /** The adapter, or why there is none. */
  readonly gpu: GpuFacts | { readonly missing: string }
  readonly cores: number
  readonly threads: number
  readonly crossOriginIsolated: boolean
  /** As the browser rounds it, at most 8; `undefined` where it does not say. */
  readonly memoryGb: number | undefined
}

/** Which device a model runs on, and why. */
export interface DeviceChoice {
  readonly device: DeviceName
  /** One sentence for people. */
  readonly reason: string
  /** `asked`: the load said so. `facts`: what the machine has left no choice. `measured`: now. `kept`: measured by an earlier load. */
  readonly by: 'asked' | 'facts' | 'measured' | 'kept'
  readonly facts: MachineFacts
  /** What was measured, now or then. */
  readonly candidates?: readonly CandidateReport[]
}

/** One runner in the comparison. */
export interface CandidateReport {
  readonly runner: RunnerName
  /** Whether it gave the tokens that it should, and what it did where not. One that did not is never used. */
  readonly selfTest: { readonly passed: true } | { readonly passed: false; readonly problem: string }
  /** Medians. Absent: it did not run. */
  readonly msPerToken?: number
  readonly msPerPromptToken?: number
}

/** Where the nodes of a graph run that was loaded onto the GPU. */
export interface GpuPlacement {
  readonly numOnGpu: number
  /** Operators that run on the CPU, one a node. */
  readonly onCpu: readonly string[]
  /** Those of them that should not: each costs copies from the GPU and back in every step. */
  readonly unexpected: readonly string[]
}

import type { ModelRunner } from '@tabserve/engine'
import type { CacheFacts, GpuPlacement, KvType, RunnerName } from '@tabserve/protocol'

/** A decoder that runs, and what runs it. */
export interface ChosenRunner {
  readonly runner: ModelRunner
  readonly name: RunnerName
  /** What is to say of it: why `auto` did not choose the first of `kernels`, `heap`, `public`; what a GPU does not compute right. */
  readonly reason?: string
  /** Bytes of the KV cache at its largest. */
  readonly maxKvBytes: number
  /** How it keeps KV. */
  readonly kvType: KvType
  /** In what it computes between products; only of one on the GPU. */
  readonly activations?: 'float16' | 'float32'
  /** What was found in a foreign graph. */
  readonly cache?: CacheFacts
  /** Bytes of the wasm memory that holds the model; only of kernels, which have one to themselves. */
  readonly heapBytes?: number
  /** Only of one on the GPU. */
  readonly placement?: GpuPlacement
  /** Whether a device is awaited that is watched, and given up when it is silent for too long; only of one on the GPU. */
  readonly isAwaitingDevice?: () => boolean
}

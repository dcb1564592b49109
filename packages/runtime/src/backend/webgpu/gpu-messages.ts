import type { KvCopy, Logits } from '@tabserve/engine'
import type { DecoderGraph, GpuPlacement } from '@tabserve/protocol'
import type { Batch, DecoderFiles } from '../decoder-io.ts'
import type { RowRoom } from '../runner-options.ts'

/** What a GPU worker is asked. It answers everything but `copy`, in order. */
export type GpuCall =
  | { readonly type: 'load'; readonly load: GpuLoad }
  | { readonly type: 'run'; readonly step: GpuStep }
  | { readonly type: 'copy'; readonly copies: readonly KvCopy[] }
  | { readonly type: 'read-kv'; readonly row: number; readonly numTokens: number }
  | {
      readonly type: 'write-kv'
      readonly row: number
      readonly numTokens: number
      readonly bytes: Uint8Array<ArrayBuffer>
    }

export interface GpuLoad {
  /** onnxruntime-web's `.mjs` and `.wasm` with WebGPU in it. */
  readonly ort: { readonly mjs: string; readonly wasm: string }
  readonly graph: DecoderGraph
  readonly files: DecoderFiles
  /** How that graph takes KV. */
  readonly kvType: 'float32' | 'float16'
  readonly room: RowRoom
  readonly mode: GpuMode
}

/** How a step is computed. Anything but the default is for benchmarks that measure what the default is worth. */
export interface GpuMode {
  /** KV is updated where it lies; else every step makes new buffers, which take the old ones' place. */
  readonly inPlace: boolean
  /** Only the largest logits are read back where they are enough; else whole rows. */
  readonly reduce: boolean
}

/** A step as the graph wants it, and how many of the largest logits each run needs; 0: whole rows. */
export interface GpuStep {
  readonly batch: Batch
  readonly tops: readonly number[]
}

export type GpuAnswer =
  | { readonly type: 'loaded'; readonly placement: GpuPlacement }
  | { readonly type: 'ran'; readonly outputs: readonly Logits[]; readonly traffic: GpuTraffic }
  | { readonly type: 'kv'; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: 'kv-written' }
  | { readonly type: 'failed'; readonly message: string; readonly isOutOfMemory: boolean }
  /** The device is gone; nothing is answered any more. May come at any time. */
  | { readonly type: 'lost'; readonly reason: string }

/** Bytes since the load. */
export interface GpuTraffic {
  /** Written to the device for steps. */
  readonly sentBytes: number
  /** Read back from it. */
  readonly readBytes: number
  /** KV copied on it, each byte counted once a copy. */
  readonly copiedBytes: number
}

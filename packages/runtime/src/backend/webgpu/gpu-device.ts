import type { DecoderGraph, GpuFacts, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../../models/model-files.ts'
import type { ChosenRunner } from '../chosen-runner.ts'
import type { RowRoom, RunnerOptions } from '../runner-options.ts'
import { maxRowBytes, rowBytes, rowRoomOf } from '../runner-options.ts'
import { longestRightChunk } from './chunk-check.ts'
import { gpuFacts } from './gpu-facts.ts'
import type { GpuMode } from './gpu-messages.ts'
import { GpuRunner } from './gpu-runner.ts'
import { placementProblem } from './placement-problem.ts'

const PRODUCTION: GpuMode = { inPlace: true, reduce: true }

/** The GPU of this machine. It is asked anew each time: adapters come and go with power plugs, docks and driver crashes. */
export class GpuDevice {
  readonly #assets: WorkerConfig['assets']['webgpu']
  readonly #facts: typeof gpuFacts

  /** @param facts for tests: what to take for the browser's answer. */
  constructor(assets: WorkerConfig['assets']['webgpu'], facts: typeof gpuFacts = gpuFacts) {
    this.#assets = assets
    this.#facts = facts
  }

  facts(): ReturnType<typeof gpuFacts> {
    return this.#facts()
  }

  /**
   * With as many rows as there is room for. Throws `backend_failed` where there is no GPU, `memory` where it has no room for one row, `bad_model` where
   * onnxruntime refuses the graph.
   */
  async createRunner(
    graph: DecoderGraph,
    files: ModelFiles,
    options: RunnerOptions,
    onRead: () => void,
    mode: GpuMode = PRODUCTION,
  ): Promise<ChosenRunner> {
    const facts = await this.facts()
    if ('missing' in facts) {
      const message = `The model cannot run on a GPU: ${facts.missing}. Load it with device: 'auto' or 'wasm'.`
      throw new EngineError('backend_failed', message)
    }
    const most = withinBindings(graph, rowRoomOf(graph, options), facts)
    const bytes = {
      graph: await files.bytes(graph.file),
      externalData: await files.bytes(graph.externalData),
    }
    onRead()
    const { runner, room } = await withRows(most, (room) =>
      GpuRunner.create({ ort: this.#build(), graph, files: bytes, room, mode }),
    )
    const reasons: string[] = []
    if (room.rows < most.rows)
      reasons.push(`${room.rows} answers at once, not ${most.rows}: the GPU has no room for more`)
    const slow = placementProblem(runner.placement)
    if (slow !== undefined) reasons.push(slow)
    const chunk = await longestRightChunk(runner)
    if (chunk < room.maxTokensPerStep) {
      runner.limitChunks(chunk)
      reasons.push(`prompts are read ${chunk} tokens at a time: longer pieces come out wrong on this GPU`)
    }
    return {
      runner,
      name: 'webgpu',
      maxKvBytes: maxRowBytes(graph, room),
      kvType: 'float32',
      placement: runner.placement,
      isAwaitingDevice: () => runner.isAwaited,
      ...(reasons.length === 0 ? {} : { reason: reasons.join('; ') }),
    }
  }

  /** The smaller build wherever the browser can suspend WebAssembly by itself (JSPI). */
  #build(): { mjs: string; wasm: string } {
    return 'Suspending' in WebAssembly ? this.#assets.jspi : this.#assets.asyncify
  }
}

/** Halves the rows until there is room for them. Throws `memory` where there is none for one. */
async function withRows<T>(
  most: RowRoom,
  create: (room: RowRoom) => Promise<T>,
): Promise<{ readonly runner: T; readonly room: RowRoom }> {
  for (let { rows } = most; ; rows = Math.floor(rows / 2)) {
    const room = { ...most, rows }
    try {
      return { runner: await create(room), room }
    } catch (error) {
      const isTight = error instanceof EngineError && error.code === 'memory'
      if (!isTight || rows === 1) throw error
    }
  }
}

/** As many rows as one binding holds of one layer's keys. */
function withinBindings(graph: DecoderGraph, room: RowRoom, { maxBindingBytes }: GpuFacts): RowRoom {
  const cacheBytes = rowBytes(graph, room.contextLength) / (2 * graph.layers)
  const rows = Math.min(room.rows, Math.floor(maxBindingBytes / cacheBytes))
  if (rows >= 1) return { ...room, rows }
  const message = `One row of ${room.contextLength} positions takes ${cacheBytes} bytes a layer, and the GPU binds ${maxBindingBytes}. Lower contextLength.`
  throw new EngineError('bad_request', message)
}

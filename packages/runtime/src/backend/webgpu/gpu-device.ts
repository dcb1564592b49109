import type { DecoderGraph, WorkerConfig } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../../models/model-files.ts'
import type { HalfForm } from '../../onnx/half-graph.ts'
import { halveGraph } from '../../onnx/half-graph.ts'
import type { ChosenRunner } from '../chosen-runner.ts'
import { messageOf } from '../backend-failure.ts'
import type { DecoderFiles } from '../decoder-io.ts'
import type { RowRoom, RunnerOptions } from '../runner-options.ts'
import { maxRowBytes, rowRoomOf } from '../runner-options.ts'
import { longestRightChunk } from './chunk-check.ts'
import { gpuFacts } from './gpu-facts.ts'
import type { GpuMode } from './gpu-messages.ts'
import { withRows, withinBindings } from './gpu-rows.ts'
import { GpuRunner } from './gpu-runner.ts'
import { formsOf, kvTypeOf } from './half-form.ts'
import { givesNumbers } from './number-check.ts'
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
   * With as many rows as there is room for, in halves where the adapter has them and the model bears them. Throws `backend_failed` where there is no GPU, `memory` where it has no room for one row, `bad_model` where
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
    const forms = formsOf(graph, options.kvType, facts)
    const bytes = {
      graph: await files.bytes(graph.file),
      externalData: await files.bytes(graph.externalData),
    }
    onRead()
    const reasons: string[] = []
    for (const form of forms) {
      const most = withinBindings(graph, rowRoomOf(graph, options, kvTypeOf(form)), facts, kvTypeOf(form))
      const made = await this.#inForm(graph, bytes, form, most, mode)
      if (!('problem' in made)) return finished(graph, form, most, made, reasons)
      reasons.push(`not with ${form} in halves: ${made.problem}`)
    }
    const message = `The model does not run on this GPU with kvType float16: ${reasons.join('; ')}. Leave out kvType.`
    throw new EngineError('backend_failed', message)
  }

  /** A runner, or, of one that computes in halves, why it is none. Rejects as `createRunner` does. */
  async #inForm(
    graph: DecoderGraph,
    { graph: model, externalData }: DecoderFiles,
    form: HalfForm | undefined,
    most: RowRoom,
    mode: GpuMode,
  ): Promise<Made | { readonly problem: string }> {
    const ort = this.#build()
    const files = { graph: form === undefined ? model : halveGraph(model, form), externalData }
    const load = { ort, graph, files, kvType: kvTypeOf(form), mode }
    const making = withRows(most, (room) => GpuRunner.create({ ...load, room }))
    return form === undefined ? making : checked(making)
  }

  /** The smaller build wherever the browser can suspend WebAssembly by itself (JSPI). */
  #build(): { mjs: string; wasm: string } {
    return 'Suspending' in WebAssembly ? this.#assets.jspi : this.#assets.asyncify
  }
}

interface Made {
  readonly runner: GpuRunner
  readonly room: RowRoom
}

/** A graph whose halves a driver refuses, now or in its first step, may do in floats; a GPU that is lost or full will not. */
async function checked(making: Promise<Made>): Promise<Made | { readonly problem: string }> {
  let made: Made | undefined
  let problem = 'what this model computes is too large for them'
  try {
    made = await making
    if (await givesNumbers(made.runner)) return made
  } catch (error) {
    if (error instanceof EngineError) throw error
    problem = messageOf(error)
  }
  await made?.runner.dispose()
  return { problem }
}

/** With all that is to say of it. */
async function finished(
  graph: DecoderGraph,
  form: HalfForm | undefined,
  most: RowRoom,
  { runner, room }: Made,
  reasons: string[],
): Promise<ChosenRunner> {
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
    maxKvBytes: maxRowBytes(graph, room, kvTypeOf(form)),
    kvType: kvTypeOf(form),
    activations: form === 'activations' ? 'float16' : 'float32',
    placement: runner.placement,
    isAwaitingDevice: () => runner.isAwaited,
    ...(reasons.length === 0 ? {} : { reason: reasons.join('; ') }),
  }
}

import type { Capabilities, KvCopy, KvPlace, ModelRunner, Step, StepResult } from '@tabserve/engine'
import type { DecoderGraph, GpuPlacement } from '@tabserve/protocol'
import { layOut } from '../decoder-io.ts'
import { checkKvLength, rowIn, rowKvLayout } from '../row-bytes.ts'
import { capabilitiesOf, maxRowBytes, rowBytes } from '../runner-options.ts'
import { GpuLink } from './gpu-link.ts'
import type { GpuLoad, GpuTraffic } from './gpu-messages.ts'

/**
 * Runs a decoder through onnxruntime-web's WebGPU provider, in a worker of its own: KV stays on the GPU, bound as past and present, and of the
 * logits only what the sampler needs comes back. Every method fails with `device_lost` once the device is gone.
 */
export class GpuRunner implements ModelRunner {
  #capabilities: Capabilities
  readonly placement: GpuPlacement
  readonly kvBytes: number
  readonly #link: GpuLink
  readonly #graph: DecoderGraph
  readonly #kvType: GpuLoad['kvType']
  #traffic: GpuTraffic = { sentBytes: 0, readBytes: 0, copiedBytes: 0 }

  /** Rejects with `memory` where the worker or the GPU has no room, and with a plain `Error` where the graph is refused. */
  static async create(load: GpuLoad): Promise<GpuRunner> {
    const link = await GpuLink.start()
    try {
      const answer = await link.ask({ type: 'load', load })
      if (answer.type !== 'loaded') throw new Error(`a load was answered with ${answer.type}`)
      return new GpuRunner(link, load, answer.placement)
    } catch (error) {
      link.terminate()
      throw error
    }
  }

  private constructor(link: GpuLink, { graph, room, kvType }: GpuLoad, placement: GpuPlacement) {
    this.#link = link
    this.#graph = graph
    this.#kvType = kvType
    this.placement = placement
    this.#capabilities = capabilitiesOf(graph, room)
    this.kvBytes = maxRowBytes(graph, room, kvType)
  }

  /** Between a question to the GPU and its answer; the link gives it up when it is silent for too long. */
  get isAwaited(): boolean {
    return this.#link.isAwaited
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  /** For a GPU that computes longer ones wrongly. Before anybody plans with this runner. */
  limitChunks(maxTokensPerStep: number): void {
    this.#capabilities = { ...this.#capabilities, maxTokensPerStep }
  }

  /** Bytes that steps have moved since the load. */
  get traffic(): GpuTraffic {
    return this.#traffic
  }

  async run(step: Step): Promise<StepResult> {
    this.#check(step)
    const tops = step.runs.map(({ top }) => top)
    const answer = await this.#link.ask({ type: 'run', step: { batch: layOut(step), tops } })
    if (answer.type !== 'ran') throw new Error(`a step was answered with ${answer.type}`)
    this.#traffic = answer.traffic
    return { outputs: answer.outputs }
  }

  copyKv(copies: readonly KvCopy[]): void {
    this.#link.tell({ type: 'copy', copies })
  }

  get kvLayout(): string {
    const { layers, kvHeads: heads, headDim: size } = this.#graph
    return rowKvLayout(2 * layers, { heads, size }, this.#kvType)
  }

  async readKv(place: KvPlace, numTokens: number): Promise<Uint8Array<ArrayBuffer>> {
    const answer = await this.#link.ask({ type: 'read-kv', row: rowIn(place), numTokens })
    if (answer.type !== 'kv') throw new Error(`a question for KV was answered with ${answer.type}`)
    return answer.bytes
  }

  async writeKv(place: KvPlace, numTokens: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    // Here, because what fails over there costs the device.
    checkKvLength(bytes, rowBytes(this.#graph, numTokens, this.#kvType))
    await this.#link.ask({ type: 'write-kv', row: rowIn(place), numTokens, bytes })
  }

  async dispose(): Promise<void> {
    this.#link.terminate()
  }

  /** The GPU clamps what is out of range, silently. Throws plain `Error`: such a step is the scheduler's bug. */
  #check({ runs }: Step): void {
    const { maxContext } = this.capabilities
    for (const { from, tokens } of runs) {
      if (from + tokens.length > maxContext) throw new Error('a run behind the context')
      if (tokens.some((token) => token < 0 || token >= this.#graph.vocabSize))
        throw new Error('a token that the vocabulary does not have')
    }
  }
}

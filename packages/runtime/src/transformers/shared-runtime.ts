import type { TensorSpec, Tensors } from '@tabserve/protocol'
import type { HandlerHost } from '../handlers/handler.ts'
import { readOnnxGraph } from '../onnx/onnx-graph.ts'
import { fromOrt } from '../backend/ort-types.ts'
import { OrtTensor, toOrt } from './ort-tensor.ts'

/** A loaded graph, as a pipeline of transformers.js runs it. */
export interface SharedSession {
  readonly inputs: readonly Pick<TensorSpec, 'name'>[]
  readonly outputs: readonly Pick<TensorSpec, 'name'>[]
  run(inputs: Tensors): Promise<Tensors>
}

/**
 * An onnxruntime without an engine: sessions of models are opened by a ticket in place of a graph's bytes, and run wherever whoever gave the ticket runs them.
 * There is one in a worker, for the library looks for it under a global symbol.
 */
export class SharedRuntime {
  readonly Tensor = OrtTensor
  readonly env = {}
  readonly InferenceSession = {
    create: async (bytes: Uint8Array) => sessionOver(await this.#open(bytes)),
  }
  readonly #sessions = new Map<string, SharedSession>()
  #openGraph: HandlerHost['openGraph'] | undefined
  #numTickets = 0

  /** @param scope where the library looks for it. */
  static install(scope: object): SharedRuntime {
    const found = (scope as Record<symbol, unknown>)[PLACE]
    if (found instanceof SharedRuntime) return found
    const runtime = new SharedRuntime()
    Object.defineProperty(scope, PLACE, { value: runtime })
    return runtime
  }

  /** Graphs that the library brings along, for what its pipelines and processors compute beside models (a mel spectrogram's product), are opened so from now on. */
  openWith(openGraph: HandlerHost['openGraph']): void {
    this.#openGraph = openGraph
  }

  /** Bytes that open this session when they are taken for an ONNX file. */
  ticket(session: SharedSession): Uint8Array<ArrayBuffer> {
    const name = `tabserve session ${++this.#numTickets}`
    this.#sessions.set(name, session)
    return new TextEncoder().encode(name)
  }

  async #open(bytes: Uint8Array): Promise<SharedSession> {
    const ticketed =
      bytes.length < LONGEST_TICKET ? this.#sessions.get(new TextDecoder().decode(bytes)) : undefined
    if (ticketed !== undefined) return ticketed
    if (this.#openGraph === undefined)
      throw new Error('nobody who can open a graph has opened the library yet')
    const { inputs, outputs } = readOnnxGraph(bytes)
    return { inputs, outputs, run: await this.#openGraph(bytes) }
  }
}

const PLACE = Symbol.for('onnxruntime')
const LONGEST_TICKET = 64

/** A session as onnxruntime's JavaScript has it. */
function sessionOver({ inputs, outputs, run }: SharedSession): object {
  return {
    inputNames: inputs.map(({ name }) => name),
    outputNames: outputs.map(({ name }) => name),
    run: async (feeds: Readonly<Record<string, OrtTensor>>) => {
      const given = Object.entries(feeds).map(
        ([name, tensor]) => [name, fromOrt(`the input ${name}`, tensor)] as const,
      )
      const made = Object.entries(await run(Object.fromEntries(given)))
      return Object.fromEntries(made.map(([name, tensor]) => [name, toOrt(tensor)]))
    },
    release: () => Promise.resolve(),
  }
}

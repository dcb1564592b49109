import type { TensorSpec, Tensors } from '@tabserve/protocol'
import { OrtTensor, fromOrt, toOrt } from './ort-tensor.ts'

/** A loaded graph, as a pipeline of transformers.js runs it. */
export interface SharedSession {
  readonly inputs: readonly Pick<TensorSpec, 'name'>[]
  readonly outputs: readonly Pick<TensorSpec, 'name'>[]
  run(inputs: Tensors): Promise<Tensors>
}

/**
 * An onnxruntime without an engine: sessions are opened by a ticket in place of a graph's bytes, and run wherever whoever gave the ticket runs them.
 * There is one in a worker, for the library looks for it under a global symbol.
 */
export class SharedRuntime {
  readonly Tensor = OrtTensor
  readonly env = {}
  readonly InferenceSession = {
    create: (ticket: Uint8Array) => Promise.resolve(this.#open(new TextDecoder().decode(ticket))),
  }
  readonly #sessions = new Map<string, SharedSession>()
  #numTickets = 0

  /** @param scope where the library looks for it. */
  static install(scope: object): SharedRuntime {
    const found = (scope as Record<symbol, unknown>)[PLACE]
    if (found instanceof SharedRuntime) return found
    const runtime = new SharedRuntime()
    Object.defineProperty(scope, PLACE, { value: runtime })
    return runtime
  }

  /** Bytes that open this session when they are taken for an ONNX file. */
  ticket(session: SharedSession): Uint8Array<ArrayBuffer> {
    const name = `tabserve session ${++this.#numTickets}`
    this.#sessions.set(name, session)
    return new TextEncoder().encode(name)
  }

  #open(ticket: string): object {
    const session = this.#sessions.get(ticket)
    if (session === undefined)
      throw new Error(
        'This worker runs models that tabserve loaded, and no other: list the file among the graphs of the manifest.',
      )
    this.#sessions.delete(ticket)
    return {
      inputNames: session.inputs.map(({ name }) => name),
      outputNames: session.outputs.map(({ name }) => name),
      run: async (feeds: Readonly<Record<string, OrtTensor>>) => {
        const inputs = Object.fromEntries(
          Object.entries(feeds).map(([name, tensor]) => [name, fromOrt(tensor)]),
        )
        const outputs = await session.run(inputs)
        return Object.fromEntries(Object.entries(outputs).map(([name, tensor]) => [name, toOrt(tensor)]))
      },
      release: () => Promise.resolve(),
    }
  }
}

const PLACE = Symbol.for('onnxruntime')

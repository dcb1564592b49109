import type { TensorValue, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { messageOf } from './backend-failure.ts'
import { ORT_TYPES, fromOrt } from './ort-types.ts'
import type { PublicOrt } from './public-ort.ts'
import { InferenceSession, Tensor } from './public-ort.ts'

/** A file of external data, by the name that the graph calls it. */
export interface ExternalFile {
  readonly path: string
  readonly data: Uint8Array
}

/** Any graph through onnxruntime-web's public API, on the CPU. Feeds are copied into its heap, and outputs out of it into arrays of their own. */
export class InferSession {
  readonly #ort: PublicOrt
  readonly #session: InferenceSession

  static async create(
    ort: PublicOrt,
    graph: Uint8Array,
    external: readonly ExternalFile[],
  ): Promise<InferSession> {
    const session = await ort.call(() =>
      InferenceSession.create(graph, {
        executionProviders: ['wasm'],
        graphOptimizationLevel: 'all',
        ...(external.length === 0 ? {} : { externalData: [...external] }),
      }),
    )
    return new InferSession(ort, session)
  }

  private constructor(ort: PublicOrt, session: InferenceSession) {
    this.#ort = ort
    this.#session = session
  }

  /** Throws `backend_failed`. @param outputs which to give; `undefined`: all. */
  async run(inputs: Tensors, outputs: readonly string[] | undefined): Promise<Tensors> {
    const feeds = Object.fromEntries(Object.entries(inputs).map(([name, tensor]) => [name, fed(tensor)]))
    try {
      const results = await this.#ort.call(() =>
        this.#session.run(feeds, outputs ?? this.#session.outputNames),
      )
      return Object.fromEntries(
        Object.entries(results).map(([name, tensor]) => [name, fromOrt(`the output ${name}`, tensor)]),
      )
    } catch (cause) {
      throw new EngineError('backend_failed', `onnxruntime failed: ${messageOf(cause)}`, { cause })
    }
  }

  async dispose(): Promise<void> {
    await this.#ort.call(() => this.#session.release())
  }
}

function fed({ datatype, shape, data }: TensorValue): Tensor {
  return new Tensor(ORT_TYPES[datatype] as 'float32', data as Float32Array, [...shape])
}

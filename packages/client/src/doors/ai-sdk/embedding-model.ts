import type { EmbeddingModelV4, EmbeddingModelV4CallOptions, EmbeddingModelV4Result } from '@ai-sdk/provider'
import type { ServedClient } from '../served-client.ts'

/** A loaded model with the handler `embed` as the AI SDK calls it. Rejects with `EngineError`, and with the signal's reason when that has ended the call. */
export class TabserveEmbeddingModel implements EmbeddingModelV4 {
  readonly specificationVersion = 'v4'
  readonly provider = 'tabserve'
  readonly modelId: string
  readonly maxEmbeddingsPerCall = 1024
  /** One call's texts go together already. */
  readonly supportsParallelCalls = false
  readonly #client: Pick<ServedClient, 'embed'>

  constructor(client: Pick<ServedClient, 'embed'>, modelId: string) {
    this.#client = client
    this.modelId = modelId
  }

  async doEmbed({
    values,
    dimensions,
    abortSignal,
  }: EmbeddingModelV4CallOptions): Promise<EmbeddingModelV4Result> {
    try {
      const vectors = await this.#client.embed({
        model: this.modelId,
        input: values as readonly string[],
        ...(dimensions === undefined ? {} : { dimensions }),
        ...(abortSignal === undefined ? {} : { signal: abortSignal }),
      })
      return {
        embeddings: vectors.map(({ embedding }) => [...embedding]),
        usage: { tokens: vectors.reduce((sum, { numTokens }) => sum + numTokens, 0) },
        warnings: [],
      }
    } catch (error) {
      abortSignal?.throwIfAborted()
      throw error
    }
  }
}

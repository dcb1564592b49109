/** What `embeddings.create` takes; other fields are refused. */
export interface EmbeddingParams {
  model: string
  input: string | readonly string[] | readonly number[] | readonly (readonly number[])[]
  /** Keep this many of a vector's first numbers. Default: all. */
  dimensions?: number | null
  /** `base64`: the bytes of a Float32Array, little-endian. Default `float`. */
  encoding_format?: 'float' | 'base64' | null
  user?: string | null
}

/** One vector an input, in their order. */
export interface CreateEmbeddingResponse {
  object: 'list'
  data: EmbeddingObject[]
  model: string
  usage: { prompt_tokens: number; total_tokens: number }
}

/** The vector of one input: numbers, or with `encoding_format: "base64"` the bytes of their 32-bit floats. */
export interface EmbeddingObject {
  object: 'embedding'
  index: number
  embedding: number[] | string
}

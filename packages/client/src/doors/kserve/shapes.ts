/** KServe's and Triton's objects, as their protocol writes them. */
export interface ServerMetadata {
  name: string
  version: string
  extensions: string[]
}

export interface TensorMetadata {
  name: string
  datatype: 'BYTES'
  shape: number[]
}

export interface ModelMetadata {
  name: string
  versions: string[]
  /** Which runner computes it. */
  platform: string
  inputs: TensorMetadata[]
  outputs: TensorMetadata[]
}

export interface RepositoryEntry {
  name: string
  version: string
  state: 'READY' | 'UNAVAILABLE'
  /** Why it is not ready. */
  reason: string
}

export interface LoadParameters {
  /** Address of the model's folder. Default: where the browser's storage has it from. */
  url?: string
  /** Default: the newest that is stored. */
  version?: string
}

export interface DurationStat {
  count: number
  /** Of all of them together, in nanoseconds. */
  ns: number
}

export interface ModelStatistics {
  name: string
  version: string
  /** Answers to requests, by requests that ended without an error. */
  inference_count: number
  /** Forward passes. */
  execution_count: number
  inference_stats: {
    success: DurationStat
    /** How long failed requests took is not measured. */
    fail: DurationStat
    queue: DurationStat
    /** From the first forward pass to the last word. */
    compute_infer: DurationStat
    /** Prompt tokens that the KV cache had and that it had not; no time is measured for either. */
    cache_hit: DurationStat
    cache_miss: DurationStat
  }
}

export interface InferTensor {
  name: string
  datatype: string
  shape: number[]
  data: unknown[]
}

export interface KServeInferRequest {
  id?: string
  inputs: InferTensor[]
  /** OpenAI's and vLLM's names: `max_tokens`, `temperature`, `seed`, … */
  parameters?: Record<string, unknown>
}

export interface KServeInferResponse {
  model_name: string
  model_version: string
  id?: string
  outputs: { name: string; datatype: 'BYTES'; shape: number[]; data: string[] }[]
}

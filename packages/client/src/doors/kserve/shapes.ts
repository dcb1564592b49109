import type { DataType, NumericArray } from '@tabserve/protocol'

/** KServe's and Triton's objects, as their protocol writes them. */
export interface ServerMetadata {
  name: string
  version: string
  extensions: string[]
}

/** What a graph takes or gives under a name. */
export interface TensorMetadata {
  name: string
  datatype: DataType
  /** −1: any size. */
  shape: number[]
}

/** A model that is loaded: its versions and its tensors. */
export interface ModelMetadata {
  name: string
  versions: string[]
  /** Which runner computes it. */
  platform: string
  inputs: TensorMetadata[]
  outputs: TensorMetadata[]
}

/** A model that is loaded or stored, and its state. */
export interface RepositoryEntry {
  name: string
  version: string
  state: 'READY' | 'UNAVAILABLE'
  /** Why it is not ready. */
  reason: string
}

/** What is loaded. */
export interface LoadParameters {
  /** Address of the model's folder. Default: where the browser's storage has it from. */
  url?: string
  /** Default: the newest that is stored. */
  version?: string
}

/** How often something happened, and how long it took in all. */
export interface DurationStat {
  count: number
  /** Of all of them together, in nanoseconds. */
  ns: number
}

/** What one version of a model has done. */
export interface ModelStatistics {
  name: string
  version: string
  /** When the last request came, in milliseconds since the Unix epoch; 0 before there was one. */
  last_inference: number
  /** Rows of all forward passes: what a batch of n counts n times. */
  inference_count: number
  /** Forward passes; `inference_count` by this is the average batch. */
  execution_count: number
  inference_stats: {
    /** Requests. */
    success: DurationStat
    /** Requests that failed, and from submit to the error; those that were refused took no time. */
    fail: DurationStat
    queue: DurationStat
    /** Of forward passes: planning and copying KV, computing, choosing tokens. */
    compute_input: DurationStat
    compute_infer: DurationStat
    compute_output: DurationStat
    /** Prompt tokens that the KV cache had and that it had not; no time is measured for either. */
    cache_hit: DurationStat
    cache_miss: DurationStat
  }
  /** Forward passes by the answers in them. */
  batch_stats: BatchStatistics[]
  memory_usage: { type: 'CPU' | 'GPU'; id: number; byte_size: number }[]
}

/** What batches of one size have cost. */
export interface BatchStatistics {
  batch_size: number
  compute_input: DurationStat
  compute_infer: DurationStat
  compute_output: DurationStat
}

/** An input of a request. Of its `shape` the product is the length of `data`. */
export interface InferTensor {
  name: string
  datatype: string
  shape: number[]
  /** A list, nested or flat, or in the page a typed array. */
  data?: readonly unknown[] | NumericArray
  /** `binary_data_size`: its bytes lie behind the JSON. */
  parameters?: Record<string, unknown>
}

/** Tensors for a graph, or one text for a language model. */
export interface KServeInferRequest {
  id?: string
  inputs: InferTensor[]
  /** Default: all. */
  outputs?: { name: string; parameters?: { binary_data?: boolean } }[]
  /** Of a model that generates text OpenAI's and vLLM's names; else `priority`, `timeout` in microseconds, `sequence_id`, `sequence_start`, `sequence_end`, `binary_data_output`. */
  parameters?: Record<string, unknown>
}

/** What a graph or a language model gave. */
export interface KServeInferResponse {
  model_name: string
  model_version: string
  id?: string
  outputs: InferOutput[]
}

/** An output of a response, row-major. */
export interface InferOutput {
  name: string
  datatype: DataType
  shape: number[]
  /** Absent where its bytes lie behind the JSON. */
  data?: (string | number | boolean)[]
  parameters?: { binary_data_size: number }
}

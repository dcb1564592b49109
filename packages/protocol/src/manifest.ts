import type { HubOrigin } from './hugging-face.ts'
import type { BatchingOptions, SequenceOptions } from './one-shot.ts'

/**
 * `manifest.json`, the first file of a model folder: what the model is, and every other file with its size and hash.
 * Everything a runtime must know before it touches a weight is here; nothing is guessed from file names.
 */
export type Manifest = GenerateManifest | InferManifest

interface ModelFolder {
  readonly format: 'tabserve-model'
  readonly formatVersion: 1
  /** The model's name; requests say `name` or `name@version`. Letters, digits, `.`, `_`, `-`. */
  readonly name: string
  readonly version: string
  readonly description?: string
  /** SPDX identifier. */
  readonly license?: string
  readonly files: readonly ManifestFile[]
  /** Of a manifest that was made from a repository of the Hugging Face hub. */
  readonly source?: HubOrigin
  /** Of a manifest that was made for a bare file: nobody else says what its hash must be. */
  readonly trust?: 'first-use'
}

/** A decoder that continues text. */
export interface GenerateManifest extends ModelFolder {
  readonly task: 'generate'
  /** Number of weights, tied ones counted once; of `decoder-onnx` what the configuration lets expect. */
  readonly parameters: number
  readonly graph: DecoderGraph | OnnxDecoderGraph
  readonly tokenizer: TokenizerSpec
}

/** Any other model: asked once a request, with tensors or with what its handler takes. */
export interface InferManifest extends ModelFolder {
  readonly task: 'infer'
  readonly parameters?: number
  readonly graph: OnnxGraphSpec
  /** Further graphs, which a handler of several passes runs by these names; `main` is `graph`. */
  readonly graphs?: Readonly<Record<string, OnnxGraphSpec>>
  /** The handler that makes inputs and reads outputs: one of tabserve's, or of the page's own worker file. */
  readonly handler?: string
  /** What the model's maker says to the handler: pooling, labels, sizes. */
  readonly options?: Readonly<Record<string, unknown>>
  readonly tokenizer?: TokenizerSpec
  /** What a load says by default. */
  readonly batching?: BatchingOptions
  readonly sequence?: SequenceOptions
}

/** Any ONNX graph. What it takes and gives is read from the file. */
export interface OnnxGraphSpec {
  readonly kind: 'onnx'
  readonly file: string
  /** Files that the graph's external data lies in, as paths in the manifest. Default: none, weights are in the graph. */
  readonly externalData?: readonly string[]
}

/** A file of a model, and what its bytes must be. */
export interface ManifestFile {
  /** Relative to the manifest, with forward slashes, never upwards. */
  readonly path: string
  readonly bytes: number
  /** SHA-256, lower-case hex. */
  readonly sha256: string
}

/** How the weights lie in the graph: fp32, fp16 that computes in fp32, row-normalised dynamic int8 (wasm), or 4-bit blocks (WebGPU). */
export type WeightForm = 'fp32' | 'fp16' | 'int8' | 'q4'

/** What every decoder is in numbers. */
export interface DecoderShape {
  readonly layers: number
  readonly heads: number
  readonly kvHeads: number
  readonly headDim: number
  readonly hiddenSize: number
  readonly vocabSize: number
  /** Largest number of positions: where the graph has rotary tables, their rows. */
  readonly contextLength: number
}

/**
 * A decoder with GroupQueryAttention over a KV cache of fixed capacity.
 *
 * Inputs:  `input_ids` int32 [B, S] · `seqlens_k` int32 [B], valid positions after this step minus one, per row ·
 *          `total_sequence_length` int32 scalar, the largest of them plus one · `logits_index` int32 [N], which rows of
 *          the flattened [B·S] get logits · `past_key_values.{layer}.key|value` float32 [B, kvHeads, capacity, headDim].
 * Outputs: `logits` float32 [N, vocabSize] · `present.{layer}.key|value`, shaped like past and allowed to be the same memory.
 * B > 1 with S > 1 only for first prompts (no valid past).
 */
export interface DecoderGraph extends DecoderShape {
  readonly kind: 'decoder-gqa'
  readonly architecture: string
  /** The ONNX file, and the external-data file that it refers to by this same name. */
  readonly file: string
  readonly externalData: string
  readonly weights: WeightForm
  /** What quantisation cost, measured when it was made. Absent for fp32. */
  readonly quantization?: QuantizationReport
  /** What a runner must know to compute the decoder without the graph. Absent: only onnxruntime can run it. */
  readonly decoder?: DecoderTraits
}

/** A decoder that somebody else exported (optimum, onnxruntime-genai, transformers.js). How its cache works is read from the graph. */
export interface OnnxDecoderGraph extends DecoderShape {
  readonly kind: 'decoder-onnx'
  /** config.json's `model_type`. */
  readonly architecture: string
  /** The ONNX file, e.g. `onnx/model_q4.onnx`. */
  readonly file: string
  /** Files that the graph's external data lies in, as paths in the manifest; none: weights are in the graph. */
  readonly externalData: readonly string[]
  /** What was found in the graph when it was loaded: `describe` says it, a folder need not. */
  readonly cache?: CacheFacts
}

/** How a foreign decoder keeps keys and values. */
export interface CacheFacts {
  /**
   * `gqa`: GroupQueryAttention writes into a cache of fixed capacity, rows padded on the right. `concat`: a step gives back the past and what
   * is new behind it, rows padded on the left.
   */
  readonly form: 'gqa' | 'concat'
  readonly dtype: 'float32' | 'float16'
  /** Several answers go through the graph together, or one after the other. */
  readonly batched: boolean
}

/**
 * A decoder of the Llama family in numbers. Norms are RMS norms; a post norm is applied to what a block gives before that is added
 * to the residual stream. Query and key norms come before the rotation, whose pairs are elements i and i + headDim/2.
 */
export interface DecoderTraits {
  readonly feedForwardSize: number
  readonly normEpsilon: number
  /** Factor on query · key. */
  readonly attentionScale: number
  /** down(activation(gate(x)) · up(x)) */
  readonly activation: 'silu' | 'gelu-tanh'
  /** Factor on the embedding's rows (Gemma: √hiddenSize), else 1. */
  readonly embeddingScale: number
  /** c·tanh(x/c) on attention scores. */
  readonly attentionSoftcap?: number
  /** c·tanh(x/c) on logits. */
  readonly logitsSoftcap?: number
  /** One a layer: positions that attention sees, the token's own included; 0: all. */
  readonly windows: readonly number[]
  /** One a layer: the rotary tables it turns by, tensors `{name}.cos` and `{name}.sin`: `rotary` or `rotary_local`. */
  readonly rotaries: readonly string[]
  /** Every weight, by the names in decoder-tensors.ts. */
  readonly tensors: readonly TensorEntry[]
}

/**
 * Where a weight lies. Little-endian; the ONNX graph's external data points at the same bytes.
 * `int8`: values −127…127, and `{matrix}.scales` float32 [outputs].
 * `uint4`: value − 8, in blocks of 32 along the inputs, and `{matrix}.scales` float32 [outputs, inputs/32]; byte j of a block of 16
 * holds element 2j (low nibble) and 2j + 1 (high).
 */
export interface TensorEntry {
  readonly name: string
  readonly dtype: TensorDtype
  /** [n] vectors; matrices [outputs, inputs] row by row, or, of rank 3, [parts, inputs, outputs/parts]: transposed, in column parts. */
  readonly shape: readonly number[]
  readonly file: string
  /** Bytes, a multiple of 64; the length follows from dtype and shape. */
  readonly offset: number
}

/** How the numbers of a stored tensor are written. */
export type TensorDtype = 'float32' | 'float16' | 'int8' | 'uint4'

/** Error of the weights against fp32, over all quantised matrices. */
export interface QuantizationReport {
  /** ‖q − w‖ / ‖w‖ over all weights. */
  readonly relativeRmse: number
  /** Largest |q − w| of any weight. */
  readonly maxAbsError: number
  /** The matrix with the largest relative error, and that error. */
  readonly worst: { readonly tensor: string; readonly relativeRmse: number }
}

/** A model's tokenizer: its files, and the tokens that begin and end texts. */
export interface TokenizerSpec {
  readonly file: string
  readonly config: string
  readonly bosTokenId?: number
  /** Generation stops at any of these. */
  readonly eosTokenIds: readonly number[]
  /** Whether a prompt begins with `bosTokenId`. */
  readonly addBos: boolean
  /** A file with the chat template, which then counts in place of the one in `config`. */
  readonly chatTemplate?: string
}

/** What each one-shot task takes and gives, for one item. */
export interface TaskShapes {
  embed: { input: EmbedInput; output: Embedding; parameters: EmbedParameters }
  classify: { input: ClassifyInput; output: readonly Label[]; parameters: ClassifyParameters }
  'zero-shot': { input: ZeroShotInput; output: readonly Label[]; parameters: ZeroShotParameters }
  'token-classify': { input: string; output: readonly Entity[]; parameters: TokenClassifyParameters }
  rerank: { input: RerankInput; output: readonly Ranked[]; parameters: RerankParameters }
  split: { input: string; output: readonly string[]; parameters: SplitParameters }
  'image-classify': { input: ImageInput; output: readonly Label[]; parameters: ClassifyParameters }
  detect: { input: ImageInput; output: readonly Detection[]; parameters: DetectParameters }
  'voice-activity': { input: VoiceActivityInput; output: VoiceActivity; parameters: VoiceActivityParameters }
  transcribe: { input: Float32Array; output: Transcript; parameters: TranscribeParameters }
}

/** The tasks that tabserve has handlers for, as a manifest's `handler` names them. */
export type OneShotTask = keyof TaskShapes

/** A text, or its token ids as the model's tokenizer gives them, special ones included. */
export type EmbedInput = string | readonly number[]

/** A text as a vector. */
export interface Embedding {
  readonly embedding: Float32Array
  /** Tokens of the text, special ones included, after truncation. */
  readonly numTokens: number
}

/** What the vectors are to be like. */
export interface EmbedParameters {
  /** Keep this many of the vector's first numbers, and normalise those. Default: all. */
  readonly dimensions?: number
  /** To length 1. Default: as the model says, else true. */
  readonly normalize?: boolean
  /** Default: as the model says, else the mean over all tokens. */
  readonly pooling?: 'mean' | 'cls'
}

/** A text, or a text and a second one that is read behind it. */
export type ClassifyInput = string | { readonly text: string; readonly pair?: string }

/** What something is, and how surely. */
export interface Label {
  readonly label: string
  /** 0 to 1. */
  readonly score: number
}

/** Which labels are given, and how scores are made of logits. */
export interface ClassifyParameters {
  /** The best so many, or all. Default 1. */
  readonly topK?: number | 'all'
  /** `softmax`: one label is right; `sigmoid`: each may be; `none`: scores as the model gives them. Default: as the model says, else `softmax`. */
  readonly activation?: 'softmax' | 'sigmoid' | 'none'
}

/** A text, and the labels among which it is judged. */
export interface ZeroShotInput {
  readonly text: string
  readonly labels: readonly string[]
}

/** How labels are put to the model. */
export interface ZeroShotParameters {
  /** `{}` is where the label goes. Default `This example is {}.` */
  readonly hypothesisTemplate?: string
  /** Each label is judged alone; else their scores add up to 1. Default false. */
  readonly multiLabel?: boolean
}

/** A token, or with aggregation a run of tokens, that is not `O`. */
export interface Entity {
  /** Without `B-` and `I-` where tokens were put together. */
  readonly label: string
  readonly score: number
  readonly word: string
  /** Characters of the text from `start` up to `end`; absent where the tokenizer wrote the word in another way than the text. */
  readonly start?: number
  readonly end?: number
}

/** How tokens are put together. */
export interface TokenClassifyParameters {
  /** How tokens become entities; Hugging Face's names. Default `simple`. */
  readonly aggregation?: 'none' | 'simple' | 'first' | 'average' | 'max'
}

/** A question, and the documents to be put in order. */
export interface RerankInput {
  readonly query: string
  readonly documents: readonly string[]
}

/** A document by its place in the list, and how well it answers. */
export interface Ranked {
  /** In the list of documents. */
  readonly index: number
  readonly score: number
}

/** How many documents are given, and what scores are. */
export interface RerankParameters {
  /** The best so many. Default: all. */
  readonly topN?: number
  /** Logits, or probabilities. Default: as the model says, else `sigmoid`. */
  readonly activation?: 'sigmoid' | 'none'
}

/** How readily a sentence ends. */
export interface SplitParameters {
  /** Probability from which on a character ends a sentence, 0 to 1. Default: as the model says, else 0.5. */
  readonly threshold?: number
}

/** An encoded picture (JPEG, PNG, …), or pixels row by row with 1, 3 or 4 channels. */
export type ImageInput = Blob | PixelImage

/** Pixels row by row, 8 bits a channel; `data.length` is `width` · `height` · channels. */
export interface PixelImage {
  readonly data: Uint8Array | Uint8ClampedArray
  readonly width: number
  readonly height: number
}

/** Something that was found in a picture, and where. */
export interface Detection extends Label {
  /** Pixels of the picture as it was given. */
  readonly box: {
    readonly left: number
    readonly top: number
    readonly right: number
    readonly bottom: number
  }
}

/** What counts as found. */
export interface DetectParameters {
  /** Least score, 0 to 1. Default 0.7. */
  readonly threshold?: number
  /** Of two boxes that overlap more than this (intersection over union) the better one is kept. Default 0.3. */
  readonly overlap?: number
}

/** A recording at 16 kHz, or the next chunk of a stream: chunks of one name are heard as one recording. */
export type VoiceActivityInput =
  | Float32Array
  | {
      readonly samples: Float32Array
      readonly stream: string
      /** The last chunk. Default false. */
      readonly end?: boolean
    }

/** Where somebody speaks. */
export interface VoiceActivity {
  /** Probability of speech, one a window. */
  readonly probabilities: Float32Array
  /** Stretches of speech that ended within this chunk, or go on (no `end`); in samples of the whole stream. */
  readonly segments: readonly { readonly start: number; readonly end?: number }[]
}

/** What counts as speech. */
export interface VoiceActivityParameters {
  /** Probability from which on a window is speech. Default 0.5. */
  readonly threshold?: number
  /** Silence that ends a stretch, in milliseconds. Default 100. */
  readonly minSilenceMs?: number
  /** A shorter stretch is no speech, in milliseconds. Default 250. */
  readonly minSpeechMs?: number
}

/** What was said, as text and as tokens of the model. */
export interface Transcript {
  readonly text: string
  readonly tokens: readonly number[]
}

/** How long the text may be, and in which language. */
export interface TranscribeParameters {
  /** Most tokens of the answer. Default: what the decoder has room for. */
  readonly maxTokens?: number
  /** Of a multilingual Whisper: `en`, `de`, … Default: as the model says. */
  readonly language?: string
}

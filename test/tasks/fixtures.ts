import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { shared } from '../../packages/convert/test/shared.ts'
import type { EncoderShape } from './encoder-spec.ts'
import { randomEncoder } from './encoder-spec.ts'
import { exportEncoder } from './export-encoder.ts'
import { exportSpeechDecoder, exportSpeechEncoder } from './export-speech.ts'
import { mergeDecoders } from './merge-decoders.ts'
import { randomSpeech } from './speech-spec.ts'
import { wordTokenizer } from './word-tokenizer.ts'
import type { TaskFolder } from './write-folder.ts'
import { writeTaskFolder } from './write-folder.ts'

/** Ids from 4 on. */
export const WORDS = 'the cat sat on a mat paris is far ##ther example this . about food travel'.split(' ')
export const ENCODER: EncoderShape = {
  vocabSize: 20,
  hiddenSize: 32,
  layers: 2,
  heads: 4,
  feedForwardSize: 48,
  maxPositions: 128,
}
export const ENCODER_SEED = 7
export const SPEECH_FRAME = 80
export const SPEECH = randomSpeech(11, SPEECH_FRAME)
/** What `whisper` hears at once: a fifth of a second, 20 frames of 80 mel bins. */
export const WHISPER_SAMPLES = 3200
/** A Whisper of several languages: what its answers begin with. */
export const WHISPER_PROMPTS = { en: [2, 5, 7, 8], de: [2, 6, 7, 8] } as const

/** Model folders for browser tests: small ones with random weights, and those of `../shared` where they are. */
export async function writeTaskFixtures(fixtures: string): Promise<void> {
  for (const folder of [...randomFolders(), ...(await sharedFolders())])
    await writeTaskFolder(join(fixtures, 'tasks', folder.name), folder)
}

function randomFolders(): TaskFolder[] {
  const words = wordTokenizer(WORDS, 128)
  const files = { 'tokenizer.json': words.json, 'tokenizer_config.json': words.config }
  const encoder = (head: EncoderShape['head']) =>
    exportEncoder(randomEncoder({ ...ENCODER, ...(head === undefined ? {} : { head }) }, ENCODER_SEED))
  return [
    { name: 'embedder', handler: 'embed', graphs: { main: encoder(undefined) }, files },
    {
      name: 'classifier',
      handler: 'classify',
      options: { labels: ['bad', 'good'] },
      graphs: { main: encoder({ of: 'first', labels: 2 }) },
      files,
    },
    { name: 'reranker', handler: 'rerank', graphs: { main: encoder({ of: 'first', labels: 1 }) }, files },
    ...transformersFolders(files),
    ...speechFolders(),
  ]
}

/** One decoder thrice: in two files, and merged behind an encoder as Moonshine and Whisper have it. */
function speechFolders(): TaskFolder[] {
  const words = wordTokenizer(Array.from({ length: SPEECH.vocabSize - 4 }, (_, index) => `word${index}`))
  const files = { 'tokenizer.json': words.json, 'tokenizer_config.json': words.config }
  const [first, next] = [exportSpeechDecoder(SPEECH, 'first'), exportSpeechDecoder(SPEECH, 'next')]
  const decoder = mergeDecoders(first, next)
  const generation = { decoder_start_token_id: 2, eos_token_id: 3, max_length: 14 }
  return [
    {
      name: 'hearer',
      handler: 'transcribe',
      options: generation,
      graphs: { main: exportSpeechEncoder(SPEECH), decoder: first, decoder_with_past: next },
      files,
    },
    {
      name: 'moonshine',
      handler: 'transcribe',
      graphs: { main: exportSpeechEncoder(SPEECH), decoder },
      files: {
        ...files,
        'config.json': JSON.stringify({
          ...generation,
          architectures: ['MoonshineForConditionalGeneration'],
        }),
        'preprocessor_config.json': JSON.stringify({
          feature_extractor_type: 'Wav2Vec2FeatureExtractor',
          do_normalize: false,
          feature_size: 1,
          sampling_rate: 16_000,
        }),
      },
    },
    {
      name: 'whisper',
      handler: 'transcribe',
      graphs: { main: exportSpeechEncoder(SPEECH, 'input_features'), decoder },
      files: {
        ...files,
        'config.json': JSON.stringify({ architectures: ['WhisperForConditionalGeneration'] }),
        'generation_config.json': JSON.stringify({
          ...generation,
          lang_to_id: { '<|en|>': 5, '<|de|>': 6 },
          task_to_id: { transcribe: 7, translate: 9 },
          no_timestamps_token_id: 8,
        }),
        'preprocessor_config.json': JSON.stringify({
          feature_extractor_type: 'WhisperFeatureExtractor',
          chunk_length: WHISPER_SAMPLES / 16_000,
          feature_size: 80,
          hop_length: 160,
          n_fft: 400,
          n_samples: WHISPER_SAMPLES,
          nb_max_frames: WHISPER_SAMPLES / 160,
          sampling_rate: 16_000,
        }),
      },
    },
  ]
}

/** The same encoders as transformers.js wants them to lie: the graph in `onnx/`, and a configuration. */
function transformersFolders(files: Readonly<Record<string, string>>): TaskFolder[] {
  const encoder = (head: EncoderShape['head']) =>
    exportEncoder(randomEncoder({ ...ENCODER, ...(head === undefined ? {} : { head }) }, ENCODER_SEED))
  const config = (architecture: string) =>
    JSON.stringify({ model_type: 'bert', architectures: [architecture], id2label: { 0: 'bad', 1: 'good' } })
  return [
    {
      name: 'features',
      handler: 'features',
      graphs: { 'onnx/model': encoder(undefined) },
      files: { ...files, 'config.json': config('BertModel') },
    },
    {
      name: 'sentiment',
      handler: 'sentiment',
      graphs: { 'onnx/model': encoder({ of: 'first', labels: 2 }) },
      files: { ...files, 'config.json': config('BertForSequenceClassification') },
    },
  ]
}

async function sharedFolders(): Promise<TaskFolder[]> {
  const onnx = (file: string) => readFile(shared(`models/onnx/${file}`))
  if (!existsSync(shared('models/onnx'))) return []
  return [
    { name: 'splitter', handler: 'split', graphs: { main: await onnx('nnsplit-en.onnx') } },
    { name: 'voice', handler: 'voice-activity', graphs: { main: await onnx('silero_vad_16k_op15.onnx') } },
    {
      name: 'digits',
      handler: 'image-classify',
      options: {
        labels: Array.from({ length: 10 }, (_, digit) => String(digit)),
        preprocessor: {
          do_convert_grayscale: true,
          do_rescale: false,
          do_normalize: false,
          size: { width: 28, height: 28 },
        },
      },
      graphs: { main: await onnx('mnist-12.onnx') },
    },
    {
      name: 'faces',
      handler: 'detect',
      options: {
        labels: ['background', 'face'],
        preprocessor: {
          size: { width: 320, height: 240 },
          do_rescale: false,
          do_normalize: true,
          image_mean: [127, 127, 127],
          image_std: [128, 128, 128],
        },
      },
      graphs: { main: await onnx('ultraface-RFB-320.onnx') },
    },
  ]
}

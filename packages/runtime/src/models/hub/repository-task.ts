import { isRecord } from '@tabserve/protocol'
import type { Json } from './decoder-config.ts'
import type { GraphNames } from './dtype-choice.ts'

/** What a repository's model is for. `handler` is absent where its configuration does not tell: then whoever loads it says one, or asks it with tensors. */
export type RepositoryTask =
  | { readonly task: 'generate' }
  | {
      readonly task: 'infer'
      readonly handler?: string
      /** Of a model of several graphs. */
      readonly graphs?: GraphNames
    }

const GENERATE: RepositoryTask = { task: 'generate' }

/** Encoders whose bare model is there to make embeddings of texts, as sentence-transformers and optimum export them. */
const TEXT_ENCODER = /^(?!Vision)\w*(bert|mpnet|electra|deberta|deberta-?v2|bge|gte)\w*Model$/i

/** As optimum exports them; the decoder is one file for its first pass and for later ones. */
const SPEECH: RepositoryTask = {
  task: 'infer',
  handler: 'transcribe',
  graphs: { main: 'encoder_model', decoder: 'decoder_model_merged' },
}

/** By the class that `config.json` names. @param isSentenceModel sentence-transformers wrote files of its own beside it. */
export function repositoryTask(config: Json, isSentenceModel: boolean): RepositoryTask {
  if (isSentenceModel) return { task: 'infer', handler: 'embed' }
  const name = Array.isArray(config['architectures']) ? String(config['architectures'][0]) : ''
  if (name.endsWith('ForSequenceClassification')) return { task: 'infer', handler: classifierOf(config) }
  if (name.endsWith('ForTokenClassification')) return { task: 'infer', handler: 'token-classify' }
  if (name.endsWith('ForImageClassification')) return { task: 'infer', handler: 'image-classify' }
  if (/^(Whisper|Moonshine)ForConditionalGeneration$/.test(name)) return SPEECH
  if (TEXT_ENCODER.test(name)) return { task: 'infer', handler: 'embed' }
  // What says nothing of itself is read as the decoder that most such repositories hold, and refused where it is none.
  const isDecoder = name === '' || /(ForCausalLM|LMHeadModel|ForConditionalGeneration)$/.test(name)
  return isDecoder ? GENERATE : { task: 'infer' }
}

/** One label is a score; a model that knows what follows from a text takes labels of one's own. */
function classifierOf({ id2label }: Json): string {
  const labels = isRecord(id2label) ? Object.values(id2label).map((label) => String(label).toLowerCase()) : []
  if (labels.length === 1) return 'rerank'
  return labels.includes('entailment') ? 'zero-shot' : 'classify'
}

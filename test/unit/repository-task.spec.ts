import { expect, test } from 'playwright/test'
import { repositoryTask } from '../../packages/runtime/src/models/hub/repository-task.ts'

const CASES: readonly (readonly [config: Record<string, unknown>, task: string])[] = [
  [{ architectures: ['BertModel'], model_type: 'bert' }, 'embed'],
  [{ architectures: ['MPNetModel'] }, 'embed'],
  [{ architectures: ['XLMRobertaModel'] }, 'embed'],
  [{ architectures: ['DistilBertForSequenceClassification'], id2label: { 0: 'NO', 1: 'YES' } }, 'classify'],
  [{ architectures: ['BertForSequenceClassification'], id2label: { 0: 'LABEL_0' } }, 'rerank'],
  [
    {
      architectures: ['BartForSequenceClassification'],
      id2label: { 0: 'contradiction', 1: 'neutral', 2: 'ENTAILMENT' },
    },
    'zero-shot',
  ],
  [{ architectures: ['BertForTokenClassification'] }, 'token-classify'],
  [{ architectures: ['ViTForImageClassification'] }, 'image-classify'],
  [{ architectures: ['WhisperForConditionalGeneration'] }, 'transcribe'],
  [{ architectures: ['MoonshineForConditionalGeneration'] }, 'transcribe'],
  [{ architectures: ['LlamaForCausalLM'] }, 'generate'],
  [{ architectures: ['GPT2LMHeadModel'] }, 'generate'],
  [{ architectures: ['Gemma3ForConditionalGeneration'] }, 'generate'],
  [{ model_type: 'llama' }, 'generate'],
  [{ architectures: ['SomethingElseModel'] }, 'not told'],
  [{ architectures: ['DPTForDepthEstimation'] }, 'not told'],
]

for (const [config, wanted] of CASES)
  test(`${JSON.stringify(config['architectures'] ?? config)} is for ${wanted}`, () => {
    const found = repositoryTask(config, false)
    const name = found.task === 'generate' ? 'generate' : (found.handler ?? 'not told')
    expect(name).toBe(wanted)
  })

test('what sentence-transformers wrote a pooling for makes embeddings, whatever its class is called', () => {
  const config = { architectures: ['SomethingElseModel'] }
  expect(repositoryTask(config, true)).toEqual({ task: 'infer', handler: 'embed' })
})

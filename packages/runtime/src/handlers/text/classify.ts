import type { ClassifyInput, Label } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import { readLabels } from '../labels.ts'
import { Parameters } from '../parameters.ts'
import { activate } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { topKOf } from '../top-k.ts'
import { EncoderInput } from './encoder-input.ts'

/** A text, or a pair of texts, to labels. */
export async function classify(model: TaskModel): Promise<Handler<ClassifyInput, readonly Label[]>> {
  const encoder = await EncoderInput.read(model)
  const labels = await readLabels(model)
  const standard = await problemType(model)
  return {
    preprocess(input, { parameters, item }) {
      const { text, pair } = textsOf(input)
      const read = new Parameters(parameters, model.options, ['topK', 'activation'])
      item
        .set('topK', topKOf(read))
        .set('activation', read.oneOf('activation', ['softmax', 'sigmoid', 'none'], standard))
      return encoder.tensors([encoder.encode(text, pair)])
    },
    postprocess(outputs, { item }) {
      const { data } = floatOutput(outputs, 'logits')
      const scores = activate(data, item.get('activation') as 'softmax' | 'sigmoid' | 'none')
      return labels.best(scores, item.get('topK') as number)
    },
  }
}

async function problemType(model: TaskModel): Promise<'softmax' | 'sigmoid'> {
  const { problem_type: type } = await model.json('config.json')
  return type === 'multi_label_classification' ? 'sigmoid' : 'softmax'
}

function textsOf(input: unknown): { readonly text: string; readonly pair?: string } {
  if (typeof input === 'string') return { text: input }
  if (isRecord(input)) {
    const { text, pair } = input
    if (typeof text === 'string' && pair === undefined) return { text }
    if (typeof text === 'string' && typeof pair === 'string') return { text, pair }
  }
  throw new EngineError('bad_request', 'What to classify must be a text, or { text, pair }.', {
    param: 'input',
  })
}

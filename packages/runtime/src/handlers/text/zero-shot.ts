import type { Label, ZeroShotInput } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import { badLabels, readLabels } from '../labels.ts'
import { Parameters } from '../parameters.ts'
import { softmax } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { isTexts } from '../texts.ts'
import { EncoderInput } from './encoder-input.ts'

/** A text among labels that the model was not trained on: a natural-language-inference model says which hypotheses follow from it. One row a label. */
export async function zeroShot(model: TaskModel): Promise<Handler<ZeroShotInput, readonly Label[]>> {
  const encoder = await EncoderInput.read(model)
  const names = await readLabels(model)
  const entailment = names.find((name) => /^entail/i.test(name))
  const contradiction = names.find((name) => /^contra|^not_entail/i.test(name))
  if (entailment < 0) throw badLabels('Zero-shot needs a model with a label "entailment".')
  return {
    preprocess(input, { parameters, item }) {
      const { text, labels } = checked(input)
      const read = new Parameters(parameters, model.options, ['hypothesisTemplate', 'multiLabel'])
      const template = read.text('hypothesisTemplate', 'This example is {}.')
      if (!template.includes('{}'))
        throw new EngineError('bad_request', 'hypothesisTemplate must have {} where the label goes.')
      item.set('labels', labels).set('multiLabel', read.flag('multiLabel', false))
      return encoder.tensors(labels.map((label) => encoder.encode(text, template.replaceAll('{}', label))))
    },
    postprocess(outputs, { item }) {
      const labels = item.get('labels') as readonly string[]
      const { data } = floatOutput(outputs, 'logits')
      const width = data.length / labels.length
      const logit = (row: number, label: number) => data[row * width + label] ?? -Infinity
      const against = contradiction < 0 ? (entailment === 0 ? width - 1 : 0) : contradiction
      const scores =
        item.get('multiLabel') === true || labels.length === 1
          ? labels.map((_, row) => softmax([logit(row, against), logit(row, entailment)])[1] ?? 0)
          : softmax(labels.map((_, row) => logit(row, entailment)))
      return labels
        .map((label, row) => ({ label, score: scores[row] ?? 0 }))
        .toSorted((a, b) => b.score - a.score)
    },
  }
}

function checked(input: unknown): ZeroShotInput {
  if (isRecord(input)) {
    const { text, labels } = input
    if (typeof text === 'string' && isTexts(labels)) return { text, labels }
  }
  throw new EngineError(
    'bad_request',
    'Zero-shot classification takes { text, labels }, with at least one label.',
    { param: 'input' },
  )
}

import type { ImageInput, Label } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import { readLabels } from '../labels.ts'
import { Parameters } from '../parameters.ts'
import { activate } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { topKOf } from '../top-k.ts'
import { imageInput } from './image-input.ts'

/** A picture to labels. */
export async function imageClassify(model: TaskModel): Promise<Handler<ImageInput, readonly Label[]>> {
  const read = await imageInput(model)
  const labels = await readLabels(model)
  return {
    async preprocess(input, { parameters, item }) {
      const given = new Parameters(parameters, model.options, ['topK', 'activation'])
      item
        .set('topK', topKOf(given))
        .set('activation', given.oneOf('activation', ['softmax', 'sigmoid', 'none'], 'softmax'))
      return (await read(input)).inputs
    },
    postprocess(outputs, { item }) {
      const { data } = floatOutput(outputs, 'logits')
      const scores = activate(data, item.get('activation') as 'softmax' | 'sigmoid' | 'none')
      return labels.best(scores, item.get('topK') as number)
    },
  }
}

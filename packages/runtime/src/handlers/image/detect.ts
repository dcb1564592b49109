import type { Detection, ImageInput, Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import type { LabelMap } from '../labels.ts'
import { readLabels } from '../labels.ts'
import { Parameters } from '../parameters.ts'
import { softmax } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import type { Candidate } from './boxes.ts'
import { keepBest } from './boxes.ts'
import { imageInput } from './image-input.ts'

/**
 * Things in a picture, by a graph that gives boxes and their classes: `scores` and `boxes` as fractions of the picture, corners
 * (`options.boxes: 'corners'`, ultraface), or DETR's `logits` and `pred_boxes`, centre and size (`'center'`). `options.background` is the class that
 * is nothing: the first of `scores`, the last of `logits`, unless said.
 */
export async function detect(model: TaskModel): Promise<Handler<ImageInput, readonly Detection[]>> {
  const read = await imageInput(model)
  const labels = await readLabels(model)
  return {
    async preprocess(input, { parameters, item }) {
      const given = new Parameters(parameters, model.options, ['threshold', 'overlap'])
      const { inputs, width, height } = await read(input)
      item
        .set('threshold', given.fraction('threshold', 0.7))
        .set('overlap', given.fraction('overlap', 0.3))
        .set('size', [width, height])
      return inputs
    },
    postprocess(outputs, { item }) {
      const [width = 0, height = 0] = item.get('size') as number[]
      const found = candidates(model, outputs, item.get('threshold') as number)
      return keepBest(found, item.get('overlap') as number).map((candidate) =>
        detection(candidate, labels, width, height),
      )
    },
  }
}

function candidates(model: TaskModel, outputs: Tensors, threshold: number): Candidate[] {
  const areLogits = outputs['pred_boxes'] !== undefined
  const scores = floatOutput(outputs, 'scores', 'logits')
  const boxes = floatOutput(outputs, 'boxes', 'pred_boxes')
  const classes = scores.shape.at(-1) ?? 0
  const count = scores.data.length / classes
  if (boxes.data.length !== 4 * count)
    throw new EngineError('bad_model', `The graph gives ${count} scores and ${boxes.data.length / 4} boxes.`)
  const background = Number(model.options['background'] ?? (areLogits ? classes - 1 : 0))
  const isCentred = (model.options['boxes'] ?? (areLogits ? 'center' : 'corners')) === 'center'
  const found: Candidate[] = []
  for (let at = 0; at < count; at++) {
    const row = scores.data.subarray(at * classes, (at + 1) * classes)
    const best = bestClass(areLogits ? softmax(row) : row, background)
    if (best.score < threshold) continue
    const [a = 0, b = 0, c = 0, d = 0] = boxes.data.subarray(at * 4, at * 4 + 4)
    const corners = isCentred ? [a - c / 2, b - d / 2, a + c / 2, b + d / 2] : [a, b, c, d]
    const [left = 0, top = 0, right = 0, bottom = 0] = corners
    found.push({ ...best, left, top, right, bottom })
  }
  return found
}

function bestClass(
  scores: Float32Array,
  background: number,
): { readonly index: number; readonly score: number } {
  let best = { index: -1, score: -Infinity }
  for (const [index, score] of scores.entries())
    if (index !== background && score > best.score) best = { index, score }
  return best
}

function detection(
  { index, score, ...box }: Candidate,
  labels: LabelMap,
  width: number,
  height: number,
): Detection {
  const pixels = (fraction: number, size: number) => Math.min(size, Math.max(0, fraction * size))
  return {
    label: labels.name(index),
    score,
    box: {
      left: pixels(box.left, width),
      top: pixels(box.top, height),
      right: pixels(box.right, width),
      bottom: pixels(box.bottom, height),
    },
  }
}

import type { Tensors } from '@tabserve/protocol'
import { isRecord } from '@tabserve/protocol'
import { openTransformers } from '../../transformers/door.ts'
import { pictureOf } from '../../transformers/picture.ts'
import { processorOf, tensorOf } from '../../transformers/processor.ts'
import type { TaskModel } from '../task-model.ts'

export interface ReadImage {
  readonly inputs: Tensors
  /** Of the picture as it was given, in pixels. */
  readonly width: number
  readonly height: number
}

/**
 * Pictures as a graph's input, by transformers.js: as `preprocessor_config.json` says, or the manifest's `options.preprocessor`, which has the same fields.
 * `do_convert_grayscale` gives one channel.
 */
export async function imageInput(model: TaskModel): Promise<(input: unknown) => Promise<ReadImage>> {
  const { library } = await openTransformers(model.host)
  const { preprocessor } = model.options
  const config = isRecord(preprocessor) ? preprocessor : await model.json('preprocessor_config.json')
  const process = processorOf(
    library,
    { do_convert_rgb: config['do_convert_grayscale'] !== true, ...config },
    'ImageProcessor',
  )
  const [name = 'pixel_values'] = await model.inputNames()
  return async (input) => {
    const picture = await pictureOf(library, input)
    const { width, height } = picture
    const isGray = config['do_convert_grayscale'] === true
    const pixels = tensorOf(await process(isGray ? picture.grayscale() : picture), 'pixel_values')
    return { inputs: { [name]: pixels }, width, height }
  }
}

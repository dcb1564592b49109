import { expect, test } from 'playwright/test'
import { chooseWeights, filesOf } from '../../packages/runtime/src/models/hub/dtype-choice.ts'
import type { Listing } from '../../packages/runtime/src/models/hub/listing.ts'

const SPEECH = { main: 'encoder_model', decoder: 'decoder_model_merged' }

/** Files of which only sizes matter: the first has one byte, the next two, four, eight… */
function listing(paths: readonly string[]): Listing {
  return {
    folder: 'https://hub.example/me/speech/',
    paths,
    find: (path) =>
      Promise.resolve(paths.includes(path) ? { path, bytes: 2 ** paths.indexOf(path) } : undefined),
    read: () => Promise.reject(new Error('weights are not read to choose among them')),
  }
}

test('weights of several graphs are of the best dtype that all of them have, and their external data counts', async () => {
  const found = await chooseWeights(
    listing([
      'onnx/encoder_model.onnx',
      'onnx/decoder_model_merged.onnx',
      'onnx/decoder_model_merged.onnx_data',
      'onnx/encoder_model_quantized.onnx',
      'onnx/encoder_model_int8.onnx',
      'onnx/decoder_model_merged_int8.onnx',
    ]),
    'auto',
    'here',
    SPEECH,
  )
  expect(found.dtype).toBe('int8')
  expect(filesOf(found).map(({ path }) => path)).toEqual([
    'onnx/encoder_model_int8.onnx',
    'onnx/decoder_model_merged_int8.onnx',
  ])
  expect(found.choices).toEqual([
    { dtype: 'int8', bytes: 16 + 32 },
    { dtype: 'fp32', bytes: 1 + 2 + 4 },
  ])
})

test('where no dtype is whole, what is needed and what there is are named', async () => {
  const half = listing(['onnx/encoder_model.onnx', 'onnx/decoder_model.onnx'])
  await expect(chooseWeights(half, 'auto', 'here', SPEECH)).rejects.toMatchObject({
    code: 'bad_model',
    message: expect.stringMatching(
      /encoder_model\*\.onnx with onnx\/decoder_model_merged\*\.onnx.* it has .*decoder_model\.onnx/,
    ),
  })
})

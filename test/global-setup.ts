import { existsSync } from 'node:fs'
import { cp, mkdir, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import { convertLlama2c } from '../packages/convert/src/index.ts'
import { writeTaskFixtures } from './tasks/fixtures.ts'
import { writeForeign } from './foreign/write-foreign.ts'
import type { ForeignOptions } from './foreign/write-foreign.ts'

const ROOT = join(import.meta.dirname, '..')
const CHECKPOINTS = join(ROOT, '../shared/models/llama2c')

/** The same decoder as other people's exporters write it. */
const FOREIGN: Readonly<Record<string, ForeignOptions>> = {
  'genai-float32': { style: 'genai', dtype: 'float32', positions: 'counted', inline: false },
  'genai-float16': { style: 'genai', dtype: 'float16', positions: 'input', inline: true },
  'optimum-float32': { style: 'optimum', dtype: 'float32', positions: 'input', inline: false },
  'optimum-float16': { style: 'optimum', dtype: 'float16', positions: 'input', inline: true },
  'optimum-counted': { style: 'optimum', dtype: 'float32', positions: 'counted', inline: true },
}

/** Writes random models of tasks, and converts the checkpoints of `../shared`, where they are, into `dist/fixtures/`, which the test server serves. */
export default async function setUp(): Promise<void> {
  const fixtures = join(ROOT, 'dist/fixtures')
  await rm(fixtures, { recursive: true, force: true })
  await writeTaskFixtures(fixtures)
  if (!existsSync(CHECKPOINTS)) return
  for (const weights of ['fp32', 'int8', 'q4'] as const) {
    await convertLlama2c({
      checkpoint: join(CHECKPOINTS, 'stories260K.bin'),
      tokenizer: join(CHECKPOINTS, 'tok512.bin'),
      out: join(fixtures, `stories260K-${weights}`),
      name: `stories260K-${weights}`,
      version: '1',
      weights,
    })
  }
  for (const [name, options] of Object.entries(FOREIGN))
    await writeForeign(CHECKPOINTS, join(fixtures, name), options)
  await copyOneShot(join(ROOT, '../shared'), join(fixtures, 'one-shot'))
}

/** Models that are asked once a request, and what they are asked with. */
async function copyOneShot(shared: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true })
  for (const name of ['mnist-12.onnx', 'silero_vad_16k_op15.onnx'])
    await cp(join(shared, 'models/onnx', name), join(folder, name))
  await cp(join(shared, 'media/jfk.wav'), join(folder, 'jfk.wav'))
  for (const name of ['images-idx3', 'labels-idx1']) {
    const zipped = await readFile(join(shared, `evals/mnist-t10k-${name}-ubyte.gz`))
    await writeFile(join(folder, `mnist-${name}`), gunzipSync(zipped))
  }
}

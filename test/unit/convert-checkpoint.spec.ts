import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import { convertLlama2c, makeRandomModel } from '../../packages/convert/src/index.ts'
import { FIXTURE, checkpointBytes, tokenizerBytes } from '../../packages/convert/test/checkpoint-fixture.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-checkpoint-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

async function convert(checkpoint: Uint8Array, name: string, force = false) {
  await writeFile(join(folder, 'checkpoint.bin'), checkpoint)
  await writeFile(join(folder, 'tokenizer.bin'), tokenizerBytes(FIXTURE.vocabSize))
  const out = join(folder, name)
  const { manifest } = await convertLlama2c({
    checkpoint: join(folder, 'checkpoint.bin'),
    tokenizer: join(folder, 'tokenizer.bin'),
    out,
    name: 'fixture',
    version: '1',
    weights: 'fp32',
    force,
  })
  return { out, manifest }
}

test('the fp32 layouts, version 0 and 1, give the same bytes', async () => {
  const from0 = await convert(checkpointBytes(0), 'from-0')
  const from1 = await convert(checkpointBytes(1), 'from-1')
  expect(from1.manifest).toEqual(from0.manifest)
  for (const file of await readdir(from0.out)) {
    expect(await readFile(join(from1.out, file)), file).toEqual(await readFile(join(from0.out, file)))
  }
})

test('an int8 checkpoint, version 2, gives weights within half a step of the fp32 ones, over the ends of odd rows too', () => {
  const fp32 = readLlama2c(checkpointBytes(1, true))
  const int8 = readLlama2c(checkpointBytes(2, true))
  for (const [name, expected] of Object.entries(fp32.weights) as [
    keyof typeof fp32.weights,
    Float32Array,
  ][]) {
    const weights = int8.weights[name] as Float32Array
    expect(weights.length, name).toBe(expected.length)
    const worst = expected.reduce(
      (largest, weight, i) => Math.max(largest, Math.abs(weight - (weights[i] as number))),
      0,
    )
    expect(worst, name).toBeLessThan(0.7 / 127)
  }
})

test('a classifier of its own is read in every version, and counted among the parameters', () => {
  for (const version of [0, 1, 2] as const) {
    expect(readLlama2c(checkpointBytes(version)).weights.classifier, `version ${version}`).toBeUndefined()
    const { weights } = readLlama2c(checkpointBytes(version, true))
    expect(weights.classifier?.length, `version ${version}`).toBe(weights.embedding.length)
  }
})

test('a wrong file is refused with one line that says why', () => {
  const good = checkpointBytes(1)
  const withInt = (offset: number, value: number): Uint8Array => {
    const bytes = Uint8Array.from(good)
    new DataView(bytes.buffer).setInt32(offset, value, true)
    return bytes
  }
  expect(() => readLlama2c(new TextEncoder().encode('{"not": "a checkpoint"}'))).toThrow('only 23 bytes')
  expect(() => readLlama2c(new Uint8Array(5000).fill(0x41))).toThrow('header says')
  expect(() => readLlama2c(withInt(4, 7))).toThrow('version 7')
  expect(() => readLlama2c(withInt(8, -32))).toThrow('dim = -32')
  expect(() => readLlama2c(withInt(20, 3))).toThrow('heads')
  expect(() => readLlama2c(good.subarray(0, good.length - 4))).toThrow('ends before the weights')
  expect(() => readLlama2c(Buffer.concat([good, new Uint8Array(8)]))).toThrow('8 bytes more')
  expect(() => readLlama2c(withInt(256, 0x7fc00000))).toThrow('not finite')
})

test('a tokenizer of another size is refused, and nothing is left behind', async () => {
  await writeFile(join(folder, 'checkpoint.bin'), checkpointBytes(0))
  await writeFile(join(folder, 'tokenizer.bin'), tokenizerBytes(FIXTURE.vocabSize - 1))
  const conversion = convertLlama2c({
    checkpoint: join(folder, 'checkpoint.bin'),
    tokenizer: join(folder, 'tokenizer.bin'),
    out: join(folder, 'out'),
    name: 'fixture',
    version: '1',
    weights: 'fp32',
  })
  await expect(conversion).rejects.toThrow('the tokenizer has 299 tokens, the checkpoint 300')
  expect((await readdir(folder)).sort()).toEqual(['checkpoint.bin', 'tokenizer.bin'])
})

test('a conversion that fails while it writes leaves no folder, and a good model in its place untouched', async () => {
  const { out } = await convert(checkpointBytes(0), 'out')
  const before = await readFile(join(out, 'manifest.json'), 'utf8')
  const shape = { hiddenSize: 32, layers: 1, heads: 2, kvHeads: 1, hiddenDim: 44, vocabSize: 300 }
  const bad = makeRandomModel({
    shape,
    out,
    name: 'no spaces please',
    version: '1',
    weights: 'fp32',
    force: true,
  })
  await expect(bad).rejects.toThrow('"name" must match')
  expect(await readFile(join(out, 'manifest.json'), 'utf8')).toBe(before)
  expect((await readdir(folder)).sort()).toEqual(['checkpoint.bin', 'out', 'tokenizer.bin'])
})

test('an existing folder is replaced only with force, and never one that is no model', async () => {
  await convert(checkpointBytes(0), 'out')
  await expect(convert(checkpointBytes(0), 'out')).rejects.toThrow('exists already')
  await convert(checkpointBytes(1), 'out', true)
  await expect(convert(checkpointBytes(1), '.', true)).rejects.toThrow('not a model folder')
})

test('the published int8 checkpoint of stories260K reads as the fp32 one does', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const fp32 = readLlama2c(await readFile(shared('models/llama2c/stories260K.bin')))
  const int8 = readLlama2c(await readFile(shared('models/llama2c/stories260K-q8.bin')))
  for (const name of ['embedding', 'query', 'w2', 'finalNorm'] as const) {
    const error = fp32.weights[name].reduce(
      (sum, weight, i) => sum + (weight - (int8.weights[name][i] as number)) ** 2,
      0,
    )
    const size = fp32.weights[name].reduce((sum, weight) => sum + weight ** 2, 0)
    expect(Math.sqrt(error / size), name).toBeLessThan(0.01)
  }
})

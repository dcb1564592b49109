import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import { readConfig } from '../../packages/convert/src/huggingface/config.ts'
import { openWeights } from '../../packages/convert/src/huggingface/weights.ts'
import { ConvertError, convertHuggingFace } from '../../packages/convert/src/index.ts'
import { DiskFolder } from '../../packages/convert/src/node/disk-folder.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { readTokenizer } from '../../packages/convert/src/tokenizer/read-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { TINY_CONFIGS, tinyModel } from '../../packages/convert/test/architecture-fixture.ts'
import { DecoderSession } from '../../packages/convert/test/decoder-session.ts'
import { goldenIds, greedy } from '../../packages/convert/test/golden.ts'
import { writeHuggingFaceFolder, writeSafetensors } from '../../packages/convert/test/huggingface-folder.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'
import { safetensorsBytes } from '../../packages/convert/test/write-safetensors.ts'
import type { PlainTensor } from '../../packages/convert/test/write-safetensors.ts'

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-huggingface-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

async function write(name: string, content: string | Uint8Array): Promise<void> {
  await mkdir(join(folder, 'source'), { recursive: true })
  await writeFile(join(folder, 'source', name), content)
}

async function writeSource(config: object, tensors: Map<string, PlainTensor>, shards: number): Promise<void> {
  await mkdir(join(folder, 'source'), { recursive: true })
  await writeSafetensors(join(folder, 'source'), config, tensors, shards)
}

const convert = (weights: 'fp32' | 'int8' = 'fp32') =>
  convertHuggingFace({
    folder: join(folder, 'source'),
    out: join(folder, 'out'),
    name: 'm',
    version: '1',
    weights,
    force: true,
  })

for (const shards of [1, 3]) {
  test(`stories260K as safetensors in ${shards} file(s) writes the golden story`, async () => {
    test.skip(!hasShared(), SHARED_ABSENT)
    const checkpoint = readLlama2c(await readFile(shared('models/llama2c/stories260K.bin')))
    const vocabulary = readTokenizer(await readFile(shared('models/llama2c/tok512.bin')))
    await mkdir(join(folder, 'source'))
    await writeHuggingFaceFolder(join(folder, 'source'), checkpoint, vocabulary, shards)
    await write('generation_config.json', JSON.stringify({ eos_token_id: [2, 3] }))
    await write('chat_template.jinja', '{{ messages[0].content }}')
    const { manifest } = await convert()
    expect(manifest.tokenizer).toMatchObject({ bosTokenId: 1, addBos: true, eosTokenIds: [2, 3] })
    const out = join(folder, 'out')
    const [source, target] = ['source', 'out'].map((name) => join(folder, name, 'tokenizer.json'))
    expect(await readFile(target!, 'utf8')).toBe(await readFile(source!, 'utf8'))
    const written = JSON.parse(await readFile(join(out, 'tokenizer_config.json'), 'utf8')) as object
    expect(written).toMatchObject({ chat_template: '{{ messages[0].content }}', bos_token: '<s>' })
    const ids = await goldenIds()
    expect(await greedy(await DecoderSession.open(out), ids[0]!, ids.length)).toEqual(ids)
  })
}

test('a weight that is missing, of another shape or unknown, and what cannot be converted, is named', async () => {
  const { json, configJson } = vocabularyTokenizer(syntheticVocabulary(288), 64)
  const { config, tensors } = tinyModel('qwen3')
  await write('tokenizer.json', json)
  await write('tokenizer_config.json', configJson)
  const norm = 'model.layers.1.self_attn.q_norm.weight'
  const tried = async (changed: Map<string, PlainTensor>, other: object = {}) => {
    await writeSource({ ...config, ...other }, changed, 1)
    return convert('int8')
  }
  await tried(tensors)
  const without = new Map(tensors)
  without.delete(norm)
  await expect(tried(without)).rejects.toThrow(`no tensor ${norm}`)
  const extra = new Map(tensors).set('model.layers.0.mlp.gate_proj.scale', {
    shape: [1],
    data: new Float32Array(1),
  })
  await expect(tried(extra)).rejects.toThrow('mlp.gate_proj.scale')
  const reshaped = new Map(tensors).set(norm, { shape: [16], data: new Float32Array(16) })
  await expect(tried(reshaped)).rejects.toThrow('is [16], and the configuration says [32]')
  const broken = new Map(tensors).set(norm, { shape: [32], data: new Float32Array(32).fill(NaN) })
  await expect(tried(broken)).rejects.toThrow('not finite')
  await expect(tried(tensors, { model_type: 'mamba' })).rejects.toThrow('"mamba"')
  await expect(tried(tensors, { num_hidden_layers: 1e7 })).rejects.toThrow('10000000 layers')
  await expect(tried(tensors, { hidden_act: 'relu' })).rejects.toThrow('relu')
  const scaled = (rope_type: string) => ({ rope_scaling: { rope_type, factor: 2 } })
  await expect(tried(tensors, scaled('dynamic'))).rejects.toThrow('"dynamic" cannot be converted')
  await expect(tried(tensors, scaled('longrope'))).rejects.toThrow('"longrope" cannot be converted')
})

test("newer configurations' rope_parameters and layer_types say the same as the older fields", () => {
  const older = readConfig(TINY_CONFIGS.gemma3).config
  const { rope_theta: _, rope_local_base_freq: __, rope_scaling: ___, ...rest } = TINY_CONFIGS.gemma3
  const newer = readConfig({
    ...rest,
    layer_types: ['sliding_attention', 'full_attention', 'sliding_attention'],
    rope_parameters: {
      full_attention: { rope_type: 'linear', factor: 8, rope_theta: 1_000_000 },
      sliding_attention: { rope_type: 'default', rope_theta: 100 },
    },
  }).config
  expect(newer).toEqual(older)
})

test('a safetensors file that is cut or lies is refused in one sentence', async () => {
  const good = safetensorsBytes(new Map([['a', { shape: [4], data: new Float32Array(4) }]]))
  const opened = async (bytes: Uint8Array): Promise<void> => {
    await write('model.safetensors', bytes)
    openWeights(new DiskFolder(join(folder, 'source'))).dispose()
  }
  const headed = (header: unknown): Uint8Array => {
    const json = Buffer.from(typeof header === 'string' ? header : JSON.stringify(header))
    const length = Buffer.alloc(8)
    length.writeBigUInt64LE(BigInt(json.length))
    return Buffer.concat([length, json, Buffer.alloc(16)])
  }
  await opened(good)
  for (let cut = 0; cut < good.length; cut += 5)
    await expect(opened(good.subarray(0, cut)), `cut at ${cut}`).rejects.toThrow(ConvertError)
  const entry = { dtype: 'F32', shape: [4], data_offsets: [0, 16] }
  for (const [header, problem] of [
    ['[1', 'not a JSON object'],
    [[1], 'not a JSON object'],
    [{ a: null }, 'described by an object'],
    [{ a: { ...entry, data_offsets: [0, 2 ** 50] } }, 'outside the file'],
    [{ a: { ...entry, data_offsets: [16, 0] } }, 'outside the file'],
    [{ a: { ...entry, shape: [2 ** 40, 2 ** 40] } }, 'another size'],
    [{ a: { ...entry, shape: [-4] } }, 'no shape'],
    [{ a: { ...entry, dtype: 7 } }, 'no dtype'],
  ] as const) {
    await expect(opened(headed(header))).rejects.toThrow(problem)
  }
  await rm(join(folder, 'source/model.safetensors'))
  await write(
    'model.safetensors.index.json',
    JSON.stringify({ weight_map: { a: '../../etc/x.safetensors' } }),
  )
  expect(() => openWeights(new DiskFolder(join(folder, 'source')))).toThrow('no file of its folder')
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { FileSource } from '../../packages/convert/src/node/file-source.ts'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import { BLOCK_FORMATS } from '../../packages/convert/src/gguf/blocks.ts'
import { readGguf } from '../../packages/convert/src/gguf/file.ts'
import { ConvertError, convertGguf } from '../../packages/convert/src/index.ts'
import { floatOf, fromFloat16 } from '../../packages/convert/src/quantization/float16.ts'
import { restoreQ4 } from '../../packages/convert/src/quantization/q4-matrix.ts'
import { readTokenizer } from '../../packages/convert/src/tokenizer/read-tokenizer.ts'
import { DecoderSession } from '../../packages/convert/test/decoder-session.ts'
import { goldenIds, greedy } from '../../packages/convert/test/golden.ts'
import { llama2cGguf } from '../../packages/convert/test/llama2c-export.ts'
import { slowBlock } from '../../packages/convert/test/slow-blocks.ts'
import { ggufBytes } from '../../packages/convert/test/write-gguf.ts'
import { SHARED_ABSENT, hasShared, shared } from '../../packages/convert/test/shared.ts'

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-gguf-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

/** Random bytes whose half-precision scales are finite and of a sensible size. */
function randomBlocks(type: number, count: number): Uint8Array<ArrayBuffer> {
  const { bytes } = BLOCK_FORMATS[type]!
  const raw = new Uint8Array(count * bytes)
  let state = 12345 + type
  for (let i = 0; i < raw.length; i++) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0
    raw[i] = state >>> 16
  }
  const halves = type === 14 ? [208] : [2, 8].includes(type) ? [0] : [0, 2]
  for (let block = 0; block < count; block++)
    for (const half of halves) raw[block * bytes + half + 1] = (raw[block * bytes + half + 1]! & 0x83) | 0x28
  return raw
}

for (const type of [2, 3, 8, 12, 13, 14]) {
  const { name, weights, bytes, decode, toQ4 } = BLOCK_FORMATS[type]!
  test(`${name} blocks decode as an independent slow decoder says`, () => {
    const raw = randomBlocks(type, 50)
    const decoded = decode(raw)
    for (let block = 0; block < 50; block++) {
      const expected = slowBlock(name, raw.subarray(block * bytes, (block + 1) * bytes))
      expect(expected.length).toBe(weights)
      expect(decoded.slice(block * weights, (block + 1) * weights)).toEqual(Float32Array.from(expected))
    }
    if (toQ4 !== undefined) expect(restoreQ4(toQ4(raw))).toEqual(decoded)
  })
}

test('half-precision and bfloat16 numbers are read bit by bit', () => {
  const halves = Uint16Array.of(0x3c00, 0xc000, 0x0001, 0x7bff, 0x8000)
  expect([...BLOCK_FORMATS[1]!.decode(new Uint8Array(halves.buffer))]).toEqual([1, -2, 2 ** -24, 65504, -0])
  expect(floatOf(0x0400)).toBe(2 ** -14)
  const every = Uint16Array.from({ length: 2 ** 16 }, (_, half) => half)
  const floats = fromFloat16(every)
  expect(every.filter((half) => !Object.is(floats[half], floatOf(half)))).toHaveLength(0)
  const upper = Uint16Array.of(0x3f80, 0xc040)
  expect([...BLOCK_FORMATS[30]!.decode(new Uint8Array(upper.buffer))]).toEqual([1, -3])
})

for (const version of [2, 3]) {
  test(`stories260K as a GGUF of version ${version}, rotary rows interleaved, writes the golden story`, async () => {
    test.skip(!hasShared(), SHARED_ABSENT)
    const checkpoint = readLlama2c(await readFile(shared('models/llama2c/stories260K.bin')))
    const vocabulary = readTokenizer(await readFile(shared('models/llama2c/tok512.bin')))
    const file = join(folder, 'stories.gguf')
    await writeFile(file, llama2cGguf(checkpoint, vocabulary, version))
    const out = join(folder, 'out')
    const { manifest } = await convertGguf({ file, out, name: 's', version: '1', weights: 'fp32' })
    expect(manifest.tokenizer).toMatchObject({ bosTokenId: 1, eosTokenIds: [2], addBos: true })
    const session = await DecoderSession.open(out)
    const ids = await goldenIds()
    expect(await greedy(session, ids[0]!, ids.length)).toEqual(ids)
  })
}

test('the fixture of another maker loads and runs in every form, and its perplexity is measured', async () => {
  test.skip(!hasShared(), SHARED_ABSENT)
  const file = shared('models/gguf/llama-2-tiny-random.gguf')
  for (const weights of ['fp32', 'fp16', 'int8', 'q4'] as const) {
    const out = join(folder, weights)
    const options = { file, out, name: 'fixture', version: '1', weights, contextLength: 64 }
    const { manifest, perplexity } = await convertGguf({ ...options, text: 'Once upon a time there was.' })
    expect(manifest.graph).toMatchObject({ vocabSize: 32000, contextLength: 64 })
    expect(perplexity!.converted / perplexity!.source).toBeCloseTo(1, 2)
    const session = await DecoderSession.open(out)
    expect((await greedy(session, 1, 5)).length).toBe(5)
    await session.dispose()
  }
})

test('Q4_0 blocks are carried over without loss', async () => {
  const q4 = (rows: number, columns: number, seed: number) => {
    const raw = randomBlocks(2, (rows * columns) / 32)
    raw[2] = seed
    return raw
  }
  const entries = tinyMetadata()
  const tensor = (name: string, rows: number, columns: number, seed: number) => ({
    name: `${name}.weight`,
    shape: [rows, columns],
    type: 2,
    bytes: q4(rows, columns, seed),
  })
  const norm = (name: string) => ({
    name: `${name}.weight`,
    shape: [32],
    type: 0,
    bytes: new Uint8Array(new Float32Array(32).fill(1).buffer),
  })
  const tensors = [
    tensor('token_embd', 4, 32, 1),
    norm('output_norm'),
    norm('blk.0.attn_norm'),
    norm('blk.0.ffn_norm'),
    tensor('blk.0.attn_q', 32, 32, 2),
    tensor('blk.0.attn_k', 32, 32, 3),
    tensor('blk.0.attn_v', 32, 32, 4),
    tensor('blk.0.attn_output', 32, 32, 5),
    tensor('blk.0.ffn_gate', 64, 32, 6),
    tensor('blk.0.ffn_up', 64, 32, 7),
    tensor('blk.0.ffn_down', 32, 64, 8),
  ]
  const file = join(folder, 'q4.gguf')
  await writeFile(file, ggufBytes(entries, tensors))
  const out = join(folder, 'out')
  const { manifest } = await convertGguf({ file, out, name: 'q', version: '1', weights: 'q4' })
  expect(manifest.graph.quantization).toBeUndefined()
  const { TensorReader } = await import('../../packages/convert/test/read-tensor.ts')
  const reader = new TensorReader(
    await readFile(join(out, 'model.onnx.data')),
    manifest.graph.decoder!.tensors,
  )
  expect(reader.read('layers.0.feed_forward.down.weight')).toEqual(BLOCK_FORMATS[2]!.decode(q4(32, 64, 8)))
})

function tinyMetadata() {
  const count = (value: number) => ({ type: 'uint32', value }) as const
  return {
    'general.architecture': { type: 'string', value: 'llama' },
    'llama.block_count': count(1),
    'llama.context_length': count(32),
    'llama.embedding_length': count(32),
    'llama.feed_forward_length': count(64),
    'llama.attention.head_count': count(2),
    'llama.attention.layer_norm_rms_epsilon': { type: 'float32', value: 1e-5 },
    'tokenizer.ggml.model': { type: 'string', value: 'llama' },
    'tokenizer.ggml.tokens': { type: 'strings', value: ['<unk>', '<s>', '</s>', 'a'] },
    'tokenizer.ggml.token_type': { type: 'int32s', value: [2, 3, 3, 1] },
  } as const
}

test('a file that is cut, lies or is something else is refused in one sentence, and nothing large is allocated', async () => {
  const good = ggufBytes(tinyMetadata(), [{ name: 'a', shape: [64], type: 0, bytes: new Uint8Array(256) }])
  const open = async (bytes: Uint8Array): Promise<void> => {
    await writeFile(join(folder, 'x.gguf'), bytes)
    const source = new FileSource(join(folder, 'x.gguf'))
    try {
      readGguf(source)
    } finally {
      source.dispose()
    }
  }
  const patched = (offset: number, value: bigint): Uint8Array => {
    const bytes = Uint8Array.from(good)
    new DataView(bytes.buffer).setBigUint64(offset, value, true)
    return bytes
  }
  await open(good)
  for (let cut = 0; cut < good.length; cut += 7)
    await expect(open(good.subarray(0, cut)), `cut at ${cut}`).rejects.toThrow(ConvertError)
  await expect(open(new TextEncoder().encode('{"a": "JSON file, not a model at all"}'))).rejects.toThrow(
    'GGUF',
  )
  await expect(open(patched(8, 2n ** 63n))).rejects.toThrow('number as large')
  await expect(open(patched(8, 2n ** 40n))).rejects.toThrow('is shorter')
  await expect(open(patched(16, 2n ** 40n))).rejects.toThrow('is shorter')
  await expect(open(patched(24, 2n ** 50n))).rejects.toThrow('text of')
  const huge = { name: 'a', shape: [2 ** 40, 2 ** 40], type: 0, bytes: new Uint8Array(8) }
  await expect(open(ggufBytes(tinyMetadata(), [huge]))).rejects.toThrow('outside the file')
  const uneven = { name: 'a', shape: [33], type: 2, bytes: new Uint8Array(64) }
  await expect(open(ggufBytes(tinyMetadata(), [uneven]))).rejects.toThrow('no whole Q4_0 blocks')
})

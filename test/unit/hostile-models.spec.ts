import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'playwright/test'
import type { ByteSource } from '../../packages/convert/src/checkpoint/byte-source.ts'
import { cutOff } from '../../packages/convert/src/checkpoint/byte-source.ts'
import { readLlama2c } from '../../packages/convert/src/checkpoint/llama2c.ts'
import { readSafetensors } from '../../packages/convert/src/checkpoint/safetensors.ts'
import { openGguf } from '../../packages/convert/src/gguf/open-gguf.ts'
import { openHuggingFace } from '../../packages/convert/src/huggingface/open-huggingface.ts'
import { ConvertError } from '../../packages/convert/src/index.ts'
import { randomDecoder } from '../../packages/convert/src/random-model.ts'
import { vocabularyTokenizer } from '../../packages/convert/src/tokenizer/model-tokenizer.ts'
import { syntheticVocabulary } from '../../packages/convert/src/tokenizer/synthetic.ts'
import { FIXTURE, checkpointBytes } from '../../packages/convert/test/checkpoint-fixture.ts'
import { llama2cGguf, llama2cHuggingFace } from '../../packages/convert/test/llama2c-export.ts'
import { safetensorsBytes } from '../../packages/convert/test/write-safetensors.ts'
import type { GenerateManifest } from '../../packages/protocol/src/index.ts'
import { EngineError, modelIndexProblem } from '../../packages/protocol/src/index.ts'
import { parseManifest } from '../../packages/runtime/src/models/manifest-text.ts'
import { readOnnxGraph } from '../../packages/runtime/src/onnx/onnx-graph.ts'
import { Tokenizer } from '../../packages/runtime/src/tokenizer.ts'
import { exportForeign } from '../foreign/write-foreign.ts'
import { mutatedBytes, mutatedJson } from '../hostile/mutations.ts'

/** Inputs for each reader; the same ones in every run, so that a failure can be looked at. */
const RUNS = { numRuns: 400, seed: 20261125 } as const
/** No reader takes a hundredth of this on a quiet machine; one that hangs or fills the memory takes for ever. */
const LONGEST_MS = 10_000

/** Each input is read, or refused by an error of the expected class; in bounded time, and without a trace in what all objects share. */
function survives<T>(
  inputs: fc.Arbitrary<T>,
  read: (input: T) => unknown,
  refusal: new (...given: never[]) => Error,
): void {
  let refused = 0
  const before = process.memoryUsage.rss()
  fc.assert(
    fc.property(inputs, (input) => {
      const started = performance.now()
      try {
        read(input)
      } catch (error) {
        refused++
        if (!(error instanceof refusal))
          throw new Error(`not ${refusal.name}: ${String(error)}`, { cause: error })
        if (error.message.length > 2000) throw new Error(`a message of ${error.message.length} letters`)
      }
      if ('polluted' in {}) throw new Error('every object is polluted')
      if (performance.now() - started > LONGEST_MS) throw new Error('it took too long')
    }),
    { ...RUNS, includeErrorInReport: true },
  )
  expect(refused).toBeGreaterThan(0)
  expect(process.memoryUsage.rss() - before).toBeLessThan(2 ** 30)
}

const MODEL = join(import.meta.dirname, '../../models/stories/v1')
const json = async (file: string): Promise<unknown> => JSON.parse(await readFile(join(MODEL, file), 'utf8'))

test('a hostile manifest is refused as bad_model, or is one: its files stay in its folder', async () => {
  survives(
    mutatedJson(await json('manifest.json')),
    (value) => {
      const { files } = parseManifest(JSON.stringify(value), 'https://models.example/m/')
      for (const { path } of files) {
        const { href } = new URL(path, 'https://models.example/m/')
        if (!href.startsWith('https://models.example/m/')) throw new Error(`${path} leaves the folder`)
      }
    },
    EngineError,
  )
})

test('a manifest nested a hundred thousand deep is refused', () => {
  const deep = '['.repeat(100_000) + ']'.repeat(100_000)
  const text = `{"format":"tabserve-model","formatVersion":1,"name":${deep}}`
  expect(() => parseManifest(text, 'https://models.example/m/')).toThrow(EngineError)
})

test('a hostile index of versions is refused in a sentence, or is one', async () => {
  const index = JSON.parse(await readFile(join(MODEL, '../index.json'), 'utf8')) as unknown
  survives(
    mutatedJson(index),
    (value) => {
      const problem = modelIndexProblem(value)
      if (problem !== undefined) throw new EngineError('bad_model', problem)
    },
    EngineError,
  )
})

test('a hostile tokenizer is refused as bad_model, or turns text into ids of whole numbers', async () => {
  const { tokenizer: spec } = (await json('manifest.json')) as GenerateManifest
  const { json: file, configJson: config } = vocabularyTokenizer(syntheticVocabulary(FIXTURE.vocabSize), 16)
  const read = (file: unknown, config: unknown) => {
    const ids = new Tokenizer(utf8(file), utf8(config), spec).encode('Once upon a time')
    if (!ids.every(Number.isSafeInteger)) throw new Error(`ids: ${ids.join()}`)
  }
  survives(mutatedJson(JSON.parse(file)), (value) => read(value, JSON.parse(config)), EngineError)
  survives(mutatedJson(JSON.parse(config)), (value) => read(JSON.parse(file), value), EngineError)
})

test('a hostile ONNX graph is refused by a plain error, or read', () => {
  const shape = { hiddenSize: 32, layers: 2, heads: 4, kvHeads: 2, hiddenDim: 44, vocabSize: 300 }
  const options = { style: 'optimum', dtype: 'float32', positions: 'input', inline: false } as const
  const { graph } = exportForeign(randomDecoder(shape, 24, 5, true), options)
  survives(mutatedBytes(graph), readOnnxGraph, Error)
})

test('a hostile safetensors file is refused, or its tensors lie within it', () => {
  const tensors = llama2cHuggingFace(readLlama2c(checkpointBytes(1)))
  const bytes = safetensorsBytes(tensors)
  const read = (input: Uint8Array<ArrayBuffer>) => {
    for (const tensor of readSafetensors(inMemory(input))) tensor.read(0, Math.min(1, tensor.shape[0] ?? 0))
  }
  survives(mutatedBytes(bytes, 4000), read, ConvertError)
  const header = JSON.parse(new TextDecoder().decode(bytes.subarray(8, headerEnd(bytes)))) as unknown
  survives(
    mutatedJson(header).map((value) => withHeader(value, bytes)),
    read,
    ConvertError,
  )
})

test('a hostile Hugging Face folder is refused, or is a model', () => {
  const tokenizer = vocabularyTokenizer(syntheticVocabulary(FIXTURE.vocabSize), FIXTURE.contextLength)
  const files: Record<string, Uint8Array<ArrayBuffer>> = {
    'tokenizer.json': new TextEncoder().encode(tokenizer.json),
    'tokenizer_config.json': new TextEncoder().encode(tokenizer.configJson),
    'model.safetensors': Uint8Array.from(
      safetensorsBytes(llama2cHuggingFace(readLlama2c(checkpointBytes(1)))),
    ),
  }
  const config = {
    model_type: 'llama',
    hidden_size: FIXTURE.dim,
    intermediate_size: FIXTURE.hiddenDim,
    num_hidden_layers: FIXTURE.layers,
    num_attention_heads: FIXTURE.heads,
    num_key_value_heads: FIXTURE.kvHeads,
    vocab_size: FIXTURE.vocabSize,
    max_position_embeddings: FIXTURE.contextLength,
    rope_scaling: {
      rope_type: 'llama3',
      factor: 8,
      low_freq_factor: 1,
      high_freq_factor: 4,
      original_max_position_embeddings: 8,
    },
    rms_norm_eps: 1e-5,
    tie_word_embeddings: true,
    eos_token_id: 2,
  }
  survives(
    mutatedJson(config),
    (value) =>
      openHuggingFace(
        folderOf({ ...files, 'config.json': new TextEncoder().encode(JSON.stringify(value)) }),
        {},
      ),
    ConvertError,
  )
})

test('a hostile GGUF file is refused, or is a model', () => {
  const bytes = llama2cGguf(readLlama2c(checkpointBytes(1)), syntheticVocabulary(FIXTURE.vocabSize), 3)
  survives(mutatedBytes(bytes, 20_000), (input) => openGguf(inMemory(input), {}), ConvertError)
})

test('hostile llama2.c files are refused, or are a checkpoint and a vocabulary', () => {
  survives(mutatedBytes(checkpointBytes(1), 256), readLlama2c, ConvertError)
  survives(mutatedBytes(checkpointBytes(2), 256), readLlama2c, ConvertError)
})

function utf8(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value))
}

function inMemory(bytes: Uint8Array<ArrayBuffer>, name = 'hostile'): ByteSource {
  const source = { name, bytes: bytes.length }
  return {
    ...source,
    read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= bytes.length)) throw cutOff(source)
      return bytes.slice(offset, offset + length)
    },
    dispose() {},
  }
}

function folderOf(
  files: Readonly<Record<string, Uint8Array<ArrayBuffer>>>,
): Parameters<typeof openHuggingFace>[0] {
  const get = (file: string): Uint8Array<ArrayBuffer> => {
    const bytes = Object.hasOwn(files, file) ? files[file] : undefined
    if (bytes === undefined) throw new ConvertError(`${file} is missing`)
    return bytes
  }
  return {
    name: 'hostile',
    pathOf: (file) => file,
    has: (file) => Object.hasOwn(files, file),
    read: get,
    open: (file) => inMemory(get(file), file),
  }
}

function withHeader(header: unknown, seed: Uint8Array): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(JSON.stringify(header))
  const length = new Uint8Array(BigUint64Array.of(BigInt(text.length)).buffer)
  return new Uint8Array(Buffer.concat([length, text, seed.subarray(headerEnd(seed))]))
}

function headerEnd({ buffer, byteOffset }: Uint8Array): number {
  return 8 + Number(new DataView(buffer, byteOffset).getBigUint64(0, true))
}

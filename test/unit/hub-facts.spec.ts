import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { checkedHub, hubAddress, isHubAddress, parseHubAddress } from '../../packages/protocol/src/index.ts'
import { decoderFacts, expectedParameters } from '../../packages/runtime/src/models/hub/decoder-config.ts'
import type { Json } from '../../packages/runtime/src/models/hub/decoder-config.ts'
import { contextLimit, tokenizerSpec } from '../../packages/runtime/src/models/hub/tokenizer-spec.ts'
import { Tokenizer } from '../../packages/runtime/src/tokenizer.ts'

const TOKENIZERS = join(import.meta.dirname, '../../../shared/tokenizers')
const hasTokenizers = existsSync(TOKENIZERS)
const NO_TOKENIZERS = '../shared, the folder of test models, is not here'

test('a repository has one address, which says all of it but the token', () => {
  const full = {
    hub: 'onnx-community/SmolLM2-135M-Instruct-ONNX',
    revision: 'refs/pr/1',
    dtype: 'q4' as const,
    baseUrl: 'http://localhost:8080/mirror/',
  }
  const address =
    'hf+http://localhost:8080/mirror/onnx-community/SmolLM2-135M-Instruct-ONNX@refs%2Fpr%2F1:q4/'
  expect(hubAddress(full)).toBe(address)
  expect(parseHubAddress(address)).toEqual(full)
  expect(hubAddress({ ...full, token: 'secret' } as never)).not.toContain('secret')
  expect(hubAddress(parseHubAddress('hf://a/b'))).toBe('hf://a/b@main/')
  expect(hubAddress(parseHubAddress('hf://a/b:q8'))).toBe('hf://a/b@main:q8/')
  expect([isHubAddress('https://a/b/'), isHubAddress('hf://a/b')]).toEqual([false, true])
})

for (const address of [
  'hf://a',
  'hf://a/b/c',
  'hf://a/b@',
  'hf://a/b@..',
  'hf://a/b@main:q5',
  'hf+ftp://x/a/b',
  'hf://a/b@%',
  'hf://../b',
]) {
  test(`${address} is the address of no repository`, () => {
    expect(() => parseHubAddress(address)).toThrow(expect.objectContaining({ code: 'bad_request' }))
  })
}

test('what a repository is asked for is complete, or refused', () => {
  expect(checkedHub({ hub: 'a/b' })).toEqual({
    hub: 'a/b',
    revision: 'main',
    dtype: 'auto',
    baseUrl: 'https://huggingface.co/',
  })
  for (const wrong of [
    { hub: 'a' },
    { hub: 'a/b', baseUrl: 'models/' },
    { hub: 'a/b', baseUrl: 'https://x/y' },
  ])
    expect(() => checkedHub(wrong)).toThrow(expect.objectContaining({ code: 'bad_request' }))
})

const SMOLLM2 = {
  model_type: 'llama',
  hidden_act: 'silu',
  hidden_size: 576,
  intermediate_size: 1536,
  max_position_embeddings: 8192,
  num_attention_heads: 9,
  num_hidden_layers: 30,
  num_key_value_heads: 3,
  tie_word_embeddings: true,
  vocab_size: 49152,
}

const GPT2 = {
  model_type: 'gpt2',
  n_embd: 768,
  n_head: 12,
  n_layer: 12,
  n_positions: 1024,
  n_ctx: 1024,
  vocab_size: 50257,
}

const CONFIGS: readonly (readonly [
  name: string,
  config: Json,
  facts: Record<string, unknown>,
  parameters: number,
])[] = [
  [
    'SmolLM2 135M',
    SMOLLM2,
    { architecture: 'llama', layers: 30, heads: 9, kvHeads: 3, headDim: 64, contextLength: 8192 },
    134_515_008,
  ],
  [
    'a model of several parts',
    {
      model_type: 'gemma3',
      text_config: { ...SMOLLM2, model_type: 'gemma3_text', head_dim: 128 },
      vision_config: {},
    },
    { architecture: 'gemma3_text', layers: 30, headDim: 128, vocabSize: 49152 },
    0,
  ],
  [
    'GPT-2',
    GPT2,
    {
      architecture: 'gpt2',
      layers: 12,
      heads: 12,
      kvHeads: 12,
      headDim: 64,
      hiddenSize: 768,
      contextLength: 1024,
    },
    124_439_808,
  ],
  ['one key for all heads', { ...GPT2, multi_query: true }, { kvHeads: 1, headDim: 64 }, 0],
]

for (const [name, config, facts, parameters] of CONFIGS) {
  test(`the numbers of ${name} are found in its configuration`, () => {
    const found = decoderFacts(config, 'hf://a/b@main/')
    expect(found).toMatchObject(facts)
    if (parameters > 0)
      expect(Math.abs(expectedParameters(config, found) / parameters - 1)).toBeLessThan(0.002)
  })
}

test('a configuration that is no text decoder says what it lacks; the tokenizer may say the context', () => {
  const { max_position_embeddings: _, ...config } = SMOLLM2
  expect(() => decoderFacts({ model_type: 'resnet' }, 'hf://a/b@main/')).toThrow(
    /does not say num_attention_heads/,
  )
  expect(() => decoderFacts(config, '', contextLimit({ model_max_length: 1e30 }))).toThrow(
    /max_position_embeddings/,
  )
  expect(decoderFacts(config, '', contextLimit({ model_max_length: 2048 })).contextLength).toBe(2048)
})

const NONE = { config: {}, generationConfig: {}, tokenizer: {}, tokenizerConfig: {} }

test('what ends a text is said for generation, else for the model, else by the tokenizer', () => {
  const tokenizer = { added_tokens: [{ id: 7, content: '<end>' }] }
  const tokenizerConfig = { eos_token: { content: '<end>' } }
  const ends = (files: Partial<typeof NONE>) =>
    tokenizerSpec({ ...NONE, tokenizer, tokenizerConfig, ...files }, false, '').eosTokenIds
  expect(ends({ generationConfig: { eos_token_id: [1, 2] }, config: { eos_token_id: 3 } })).toEqual([1, 2])
  expect(ends({ config: { eos_token_id: 3 } })).toEqual([3])
  expect(ends({ config: { text_config: { eos_token_id: 4 } } })).toEqual([4])
  expect(ends({})).toEqual([7])
  expect(() => tokenizerSpec(NONE, false, '')).toThrow(/which token ends a text/)
})

for (const [name, ids] of [
  ['llama2', { bosTokenId: 1, addBos: true, eosTokenIds: [2] }],
  ['phi-3-mini', { bosTokenId: 1, addBos: false, eosTokenIds: [32000] }],
] as const) {
  test(`the tokenizer of ${name} says whether a prompt begins with a token of its own`, async () => {
    test.skip(!hasTokenizers, NO_TOKENIZERS)
    const [tokenizer, tokenizerConfig] = await Promise.all([
      readJson(name, 'tokenizer.json'),
      readJson(name, 'tokenizer_config.json'),
    ])
    expect(tokenizerSpec({ ...NONE, tokenizer, tokenizerConfig }, false, '')).toMatchObject(ids)
  })
}

test('a chat template in a file of its own counts in place of the one in the configuration; of several the default one', async () => {
  test.skip(!hasTokenizers, NO_TOKENIZERS)
  const file = await readFile(join(TOKENIZERS, 'llama2/tokenizer.json'))
  const render = (chat_template: unknown, own?: string) => {
    const config = Buffer.from(JSON.stringify({ chat_template }))
    const spec = { file: '', config: '', eosTokenIds: [2], addBos: false }
    const template = own === undefined ? undefined : Buffer.from(own)
    return new Tokenizer(file, config, spec, template).renderChat({
      messages: [{ role: 'user', content: 'Hi' }],
    })
  }
  expect(render('old', 'new {{ messages[0].content }}')).toBe('new Hi')
  expect(render('old')).toBe('old')
  expect(
    render([
      { name: 'tool_use', template: 'a' },
      { name: 'default', template: 'b' },
    ]),
  ).toBe('b')
  const smol = await readFile(join(TOKENIZERS, 'smollm3/chat_template.jinja'), 'utf8')
  expect(() => render(undefined, '{% if %}')).toThrow(expect.objectContaining({ code: 'bad_model' }))
  expect(render(undefined, smol)).toContain('<|im_start|>user\nHi')
})

async function readJson(name: string, file: string): Promise<Json> {
  return JSON.parse(await readFile(join(TOKENIZERS, name, file), 'utf8')) as Json
}

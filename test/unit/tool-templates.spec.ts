import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { Tokenizer } from '../../packages/runtime/src/tokenizer.ts'
import { familyOf } from '../../packages/runtime/src/tools/call-family.ts'
import { templateMessages, templateTools } from '../../packages/runtime/src/tools/template-messages.ts'

const TOKENIZERS = join(import.meta.dirname, '../../../shared/tokenizers')
const read = (path: string) => readFileSync(join(TOKENIZERS, path))
const SPEC = { file: '', config: '', eosTokenIds: [0], addBos: false }

test.skip(!existsSync(TOKENIZERS), `${TOKENIZERS} is not here`)

const MESSAGES = [
  { role: 'user' as const, content: 'Weather?' },
  {
    role: 'assistant' as const,
    content: '',
    toolCalls: [{ id: 'abcdefghi', name: 'get_weather', arguments: '{"city": "Rome"}' }],
  },
  { role: 'tool' as const, content: '{"sun": true}', toolCallId: 'abcdefghi' },
]
const TOOLS = [
  { name: 'get_weather', parameters: { type: 'object', properties: { city: { type: 'string' } } } },
]

test('real templates put tools, calls and results into the prompt, and say which family they are of', () => {
  const templates = {
    qwen3: (JSON.parse(read('qwen3/tokenizer_config.json').toString()) as { chat_template: string })
      .chat_template,
    'qwen2.5': (JSON.parse(read('qwen2.5/tokenizer_config.json').toString()) as { chat_template: string })
      .chat_template,
    smollm3: read('smollm3/chat_template.jinja').toString(),
  }
  for (const [name, template] of Object.entries(templates)) {
    const tokenizer = new Tokenizer(
      read('gpt2/tokenizer.json'),
      Buffer.from('{}'),
      SPEC,
      Buffer.from(template),
    )
    expect(familyOf(tokenizer.toolTemplate), name).toBe('hermes')
    const prompt = tokenizer.renderChat({
      messages: templateMessages(MESSAGES, template),
      tools: templateTools(TOOLS),
      options: { enable_thinking: false },
    })
    expect(prompt, name).toContain('"name": "get_weather"')
    expect(prompt, name).toContain('{"sun": true}')
    if (name !== 'smollm3')
      expect(prompt, name).toContain(
        '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Rome"}}\n</tool_call>',
      )
    if (name === 'qwen3') expect(prompt).toMatch(/<think>\n\n<\/think>\n\n$/)
  }
})

test('of several templates the one for tools counts where there are tools', () => {
  const chat_template = [
    { name: 'default', template: 'plain' },
    { name: 'tool_use', template: '{{ tools | tojson }}[TOOL_CALLS]' },
  ]
  const tokenizer = new Tokenizer(
    read('gpt2/tokenizer.json'),
    Buffer.from(JSON.stringify({ chat_template })),
    SPEC,
  )
  expect(tokenizer.renderChat({ messages: [] })).toBe('plain')
  expect(tokenizer.renderChat({ messages: [], tools: [{ name: 'f' }] })).toBe('[{"name": "f"}][TOOL_CALLS]')
  expect(familyOf(tokenizer.toolTemplate)).toBe('mistral')
})

test("a family's special tokens are text where calls are read, and other special tokens are not", () => {
  const file = JSON.parse(read('gpt2/tokenizer.json').toString()) as { added_tokens: object[] }
  const added = (id: number, content: string, special: boolean) => ({
    id,
    content,
    special,
    single_word: false,
    lstrip: false,
    rstrip: false,
    normalized: false,
  })
  file.added_tokens.push(added(50257, '<｜tool▁calls▁begin｜>', true), added(50258, '<tool_call>', false))
  const tokenizer = new Tokenizer(Buffer.from(JSON.stringify(file)), Buffer.from('{}'), SPEC)
  const marks = tokenizer.specialTokens(['<｜tool▁calls▁begin｜>', '<tool_call>'])
  expect([...marks]).toEqual([[50257, '<｜tool▁calls▁begin｜>']])
  const ids = [...tokenizer.encode('Häppy 🦜'), 50257, 50256, 50258, ...tokenizer.encode(' x')]
  expect(tokenizer.decode(ids)).toBe('Häppy 🦜<tool_call> x')
  expect(tokenizer.decode(ids, marks)).toBe('Häppy 🦜<｜tool▁calls▁begin｜><tool_call> x')
  const { tokens, markers } = tokenizer.vocabulary(50259, marks)
  expect([tokens[50257], tokens[50258], markers.get(50257)]).toEqual([
    '',
    '<tool_call>',
    '<｜tool▁calls▁begin｜>',
  ])
})

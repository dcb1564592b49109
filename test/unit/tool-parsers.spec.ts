import { expect, test } from 'playwright/test'
import type { ToolDefinition, ToolParserName } from '../../packages/protocol/src/index.ts'
import { TOOL_PARSERS } from '../../packages/protocol/src/index.ts'
import type { AnswerFormat } from '../../packages/runtime/src/tools/answer-reader.ts'
import { AnswerReader } from '../../packages/runtime/src/tools/answer-reader.ts'
import { CALL_FAMILIES, PLAIN_JSON } from '../../packages/runtime/src/tools/call-family.ts'
import { KnownTools } from '../../packages/runtime/src/tools/known-tools.ts'

const TOOLS: readonly ToolDefinition[] = [
  {
    name: 'get_weather',
    parameters: {
      type: 'object',
      properties: {
        city: { type: 'string' },
        days: { type: 'integer' },
        live: { type: 'boolean' },
        at: { type: 'object' },
        units: { type: ['string', 'null'] },
      },
    },
  },
  { name: 'get_time', parameters: { type: 'object', properties: { zone: { type: 'string' } } } },
]

interface Answer {
  text: string
  reasoning: string
  calls: [name: string, text: string][]
}

type Format = Omit<AnswerFormat, 'calls'> & { readonly parser?: ToolParserName | 'plain' }

function read(pieces: readonly string[], { parser, ...format }: Format): Answer {
  const answer: Answer = { text: '', reasoning: '', calls: [] }
  const family = parser === 'plain' ? PLAIN_JSON : parser && CALL_FAMILIES[parser]
  const calls = family && { family, tools: new KnownTools(TOOLS) }
  const reader = new AnswerReader(
    { ...format, ...(calls === undefined ? {} : { calls }) },
    {
      text: (text) => (answer.text += text),
      reasoning: (text) => (answer.reasoning += text),
      call: (name) => answer.calls.push([name, '']),
      arguments: (text) => (answer.calls.at(-1)![1] += text),
    },
  )
  for (const piece of pieces) reader.push(piece)
  reader.end()
  return answer
}

/** The whole at once, which must be the same however the text is cut. */
function readAnyhow(text: string, format: Format): Answer {
  const whole = read([text], format)
  const isSame = (pieces: readonly string[]) => JSON.stringify(read(pieces, format)) === JSON.stringify(whole)
  const cuts = Array.from({ length: text.length }, (_, cut) => cut)
  expect(cuts.filter((cut) => !isSame([text.slice(0, cut), text.slice(cut)]))).toEqual([])
  expect(isSame([...text]), 'character by character').toBe(true)
  return whole
}

const WEATHER = ['get_weather', '{"city": "Paris", "days": 3}'] as [string, string]
const TIME = ['get_time', '{"zone": "CET"}'] as [string, string]
const W = '{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}'
const T = '{"name": "get_time", "arguments": {"zone": "CET"}}'
const DS = { begin: '<｜tool▁calls▁begin｜>', call: '<｜tool▁call▁begin｜>', sep: '<｜tool▁sep｜>' }
const DS_END = '<｜tool▁call▁end｜>'
const DS_ENDS = '<｜tool▁calls▁end｜>'

/** As models of each family write them: text in front, two calls, a call that has no arguments, and what newer versions do otherwise. */
const RECORDED: readonly (readonly [ToolParserName | 'plain', string, Partial<Answer>])[] = [
  ['hermes', `<tool_call>\n${W}\n</tool_call>`, { calls: [WEATHER] }],
  [
    'hermes',
    `I look.\n\n<tool_call>\n${W}\n</tool_call>\n<tool_call>\n${T}\n</tool_call>`,
    { text: 'I look.', calls: [WEATHER, TIME] },
  ],
  [
    'hermes',
    `<tool_call>{"arguments": {"zone": "CET"}, "name": "get_time"}</tool_call> Done.`,
    { text: ' Done.', calls: [TIME] },
  ],
  [
    'hermes',
    `<tool_call>\n{"name": "get_time", "arguments": {}}\n</tool_call>\n`,
    { calls: [['get_time', '{}']] },
  ],
  ['hermes', `<tool_call>{"name": "get_time", "arguments": "{\\"zone\\": \\"CET\\"}"}`, { calls: [TIME] }],
  [
    'hermes',
    `<tool_call>{"name": "x", "arguments": {"s": "a \\"}</tool_call>\\" { [ é 🦜", "n": [1, {"m": null}]}}</tool_call>`,
    { calls: [['x', '{"s": "a \\"}</tool_call>\\" { [ é 🦜", "n": [1, {"m": null}]}']] },
  ],
  [
    'qwen3-coder',
    '<tool_call>\n<function=get_weather>\n<parameter=city>\nParis\n</parameter>\n<parameter=days>\n3\n</parameter>\n</function>\n</tool_call>',
    { calls: [WEATHER] },
  ],
  [
    'qwen3-coder',
    'So:\n<tool_call>\n<function=get_weather>\n<parameter=city>\n3\n"two"\n lines\n</parameter>\n<parameter=live>\nTrue\n</parameter>\n<parameter=at>\n{"x": [1]}\n<parameter=units>\nnull\n</parameter>\n</function>\n</tool_call>\n<function=get_time>\n</function>',
    {
      text: 'So:',
      calls: [
        ['get_weather', '{"city": "3\\n\\"two\\"\\n lines", "live": true, "at": {"x": [1]}, "units": null}'],
        ['get_time', '{}'],
      ],
    },
  ],
  [
    'llama3-json',
    '{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}',
    { calls: [WEATHER] },
  ],
  [
    'llama3-json',
    '<|python_tag|>{"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}; {"name": "get_time", "parameters": {"zone": "CET"}}',
    { calls: [WEATHER, TIME] },
  ],
  [
    'llama3-json',
    '{"type": "function", "name": "get_time", "parameters": {"zone": "CET"}}',
    { calls: [TIME] },
  ],
  ['pythonic', '[get_weather(city=\'Paris\', days=3), get_time(zone="CET")]', { calls: [WEATHER, TIME] }],
  [
    'pythonic',
    "<|python_start|>[get_weather(city='It\\'s\\n\"x\"', live=True, at={'a': [1, -2.5], 'b': None}, units=(1, 07))]<|python_end|>",
    {
      calls: [
        [
          'get_weather',
          '{"city": "It\'s\\n\\"x\\"", "live": true, "at": {"a": [1, -2.5], "b": null}, "units": [1, 7]}',
        ],
      ],
    },
  ],
  [
    'lfm2',
    "Checking.<|tool_call_start|>[get_weather(city='Paris', days=3)]<|tool_call_end|>Wait.",
    { text: 'Checking.Wait.', calls: [WEATHER] },
  ],
  [
    'lfm2',
    `<|tool_call_start|>[get_time(zone="CET"), get_time()]<|tool_call_end|>`,
    { calls: [TIME, ['get_time', '{}']] },
  ],
  ['lfm2', `<|tool_call_start|>[${W}]<|tool_call_end|>`, { calls: [WEATHER] }],
  ['mistral', `[TOOL_CALLS] [${W}, ${T}]`, { calls: [WEATHER, TIME] }],
  [
    'mistral',
    `Hello[TOOL_CALLS][{"arguments": {"zone": "CET"}, "name": "get_time", "id": "abcdefghi"}]`,
    { text: 'Hello', calls: [TIME] },
  ],
  [
    'mistral',
    '[TOOL_CALLS]get_weather[ARGS]{"city": "Paris", "days": 3}[TOOL_CALLS]get_time[CALL_ID]a1b2c3d4e[ARGS]{"zone": "CET"}',
    { calls: [WEATHER, TIME] },
  ],
  ['mistral', '[TOOL_CALLS]get_time{"zone": "CET"}', { calls: [TIME] }],
  [
    'deepseek',
    `Let me see.${DS.begin}${DS.call}function${DS.sep}get_weather\n\`\`\`json\n{"city": "Paris", "days": 3}\n\`\`\`${DS_END}\n${DS.call}function${DS.sep}get_time\n\`\`\`json\n{"zone": "CET"}\n\`\`\`${DS_END}${DS_ENDS}`,
    { text: 'Let me see.', calls: [WEATHER, TIME] },
  ],
  [
    'deepseek',
    `${DS.begin}${DS.call}get_weather${DS.sep}{"city": "Paris", "days": 3}${DS_END}${DS.call}get_time${DS.sep}{"zone": "CET"}${DS_END}${DS_ENDS} ok`,
    { text: ' ok', calls: [WEATHER, TIME] },
  ],
  ['granite', `<|tool_call|> [\n  ${W},\n  ${T}\n]`, { calls: [WEATHER, TIME] }],
  ['granite', `<tool_call>[{"name": "get_time", "arguments": {"zone": "CET"}}]`, { calls: [TIME] }],
  ['phi4-mini', `functools[${W}, ${T}]`, { calls: [WEATHER, TIME] }],
  ['phi4-mini', `<|tool_call|>[{"type": "function", "function": ${W}}]<|/tool_call|>`, { calls: [WEATHER] }],
  ['phi4-mini', 'Python has functools.reduce in it.', { text: 'Python has functools.reduce in it.' }],
  [
    'gemma',
    'Sure. <start_function_call>call:get_weather{city:<escape>Paris<escape>,days:3}<end_function_call><start_function_call>call:get_time{zone:<escape>CET<escape>}<end_function_call>',
    { text: 'Sure.', calls: [WEATHER, TIME] },
  ],
  [
    'gemma',
    '<|tool_call>call:get_weather{at:{x:1,tags:[<|"|>a,b<|"|>,true]},city:<|"|>{3}<|"|>,days:<|"|>4<|"|>}<tool_call|>',
    { calls: [['get_weather', '{"at": {"x": 1, "tags": ["a,b", true]}, "city": "{3}", "days": 4}']] },
  ],
  ['hunyuan', `Now. <tool_calls>[${W}, ${T}]</tool_calls>`, { text: 'Now.', calls: [WEATHER, TIME] }],
  [
    'internlm',
    '<|action_start|><|plugin|>\n{"name": "get_time", "parameters": {"zone": "CET"}}<|action_end|>',
    { calls: [TIME] },
  ],
  ['plain', `[${W}, ${T}]`, { calls: [WEATHER, TIME] }],
]

for (const [parser, text, found] of RECORDED) {
  test(`${parser}: ${JSON.stringify(text.slice(0, 70))} is read the same however it is cut`, () => {
    expect(readAnyhow(text, { parser })).toEqual({ text: '', reasoning: '', calls: [], ...found })
  })
}

test('every family has recorded strings', () => {
  const recorded = new Set(RECORDED.map(([parser]) => parser))
  expect(TOOL_PARSERS.filter((parser) => !recorded.has(parser))).toEqual([])
})

test('an answer without a call comes out whole, spaces and half markers too, for every family', () => {
  const texts = [
    '',
    '  ',
    'Hi.\n\n ',
    'a < b [x] {"a": 1} <tool',
    ' <|python_tag',
    '[TOOL_CALL',
    '{"name": "get_we',
    'func',
    '<｜tool▁calls▁begin',
  ]
  for (const parser of TOOL_PARSERS)
    for (const text of texts)
      expect(readAnyhow(text, { parser }), parser).toEqual({ text, reasoning: '', calls: [] })
})

test('what begins like a call and is none, or is cut before its arguments, comes out as text', () => {
  const broken: readonly (readonly [ToolParserName, string])[] = [
    ['hermes', '<tool_call>\n{"name": "get_weather", "argu'],
    ['hermes', 'a <tool_call>\n{"name": 3, "arguments": {}}\n</tool_call> b'],
    ['hermes', "<tool_call>{'name': 'get_weather'}</tool_call>"],
    ['hermes', '<tool_call> is how calls begin.'],
    ['llama3-json', '{"name": "other", "parameters": {"a": 1}}'],
    ['llama3-json', 'It is {"name": "get_time", "parameters": {}} you see'],
    ['llama3-json', '<|python_tag|>print("hi")'],
    ['pythonic', '[1, 2, 3]'],
    ['pythonic', '[other(a=1)]'],
    ['lfm2', '<|tool_call_start|>[]<|tool_call_end|>'],
    ['mistral', '[TOOL_CALLS] not json at all'],
    ['deepseek', `${DS.begin}get_weather`],
    ['deepseek', `${DS.begin}foo${DS.sep}{"x":1}${DS_ENDS}`],
    ['granite', '<|tool_call|> no'],
    ['phi4-mini', 'functools[] This is just text'],
    ['gemma', '<start_function_call>call:get_weather{city'],
    ['qwen3-coder', '<tool_call>\n<function=get_weather>\n<parameter=city>\nPar'],
  ]
  for (const [parser, text] of broken)
    expect(readAnyhow(text, { parser }), text).toEqual({ text, reasoning: '', calls: [] })
})

test('nothing is lost of a call that breaks off within its arguments, nor of what follows', () => {
  const cut = readAnyhow('<tool_call>{"name": "get_time", "arguments": {"zone": "C', { parser: 'hermes' })
  expect(cut).toEqual({ text: '', reasoning: '', calls: [['get_time', '{"zone": "C']] })
  const second = readAnyhow(`[TOOL_CALLS][${T}, {"nme": 1}]`, { parser: 'mistral' })
  expect(second).toEqual({ text: ', {"nme": 1}]', reasoning: '', calls: [TIME] })
  const wrong = readAnyhow('<tool_call>{"name": "get_time", "arguments": {"zone": "C"]}</tool_call>', {
    parser: 'hermes',
  })
  expect(wrong).toEqual({ text: ']}</tool_call>', reasoning: '', calls: [['get_time', '{"zone": "C"']] })
})

test('text and arguments are told as soon as no marker can begin in them', () => {
  const told: string[] = []
  const reader = new AnswerReader(
    { calls: { family: CALL_FAMILIES.hermes, tools: new KnownTools(TOOLS) } },
    {
      text: (text) => told.push(text),
      reasoning: () => {},
      call: (name) => told.push(`call ${name}`),
      arguments: (text) => told.push(text),
    },
  )
  const toldBy = (text: string) => {
    told.length = 0
    reader.push(text)
    return told.join('')
  }
  expect(toldBy('I see')).toBe('I see')
  expect(toldBy(' that <')).toBe(' that')
  expect(toldBy('b> and <tool_')).toBe(' <b> and')
  expect(toldBy('call>{"name": "get_time", ')).toBe('')
  expect(toldBy('"arguments": {"zo')).toBe('call get_time{"zo')
  expect(toldBy('ne": "C')).toBe('ne": "C')
  expect(toldBy('ET"}}</tool_call>')).toBe('ET"}')
})

test('calls within thoughts do not count, and thoughts come apart where that is wanted', () => {
  const thought = `<think>\nMaybe <tool_call>${W}</tool_call>?\n</think>\n\nYes.\n<tool_call>${T}</tool_call>`
  expect(readAnyhow(thought, { parser: 'hermes', thoughts: { isOpen: false, apart: true } })).toEqual({
    text: 'Yes.',
    reasoning: `Maybe <tool_call>${W}</tool_call>?`,
    calls: [TIME],
  })
  expect(readAnyhow(thought, { parser: 'hermes', thoughts: { isOpen: false, apart: false } })).toEqual({
    text: `<think>\nMaybe <tool_call>${W}</tool_call>?\n</think>\n\nYes.`,
    reasoning: '',
    calls: [TIME],
  })
  const open = 'Hm </ think></think>Yes'
  expect(readAnyhow(open, { thoughts: { isOpen: true, apart: true } })).toEqual({
    text: 'Yes',
    reasoning: 'Hm </ think>',
    calls: [],
  })
  expect(readAnyhow('<think>still', { thoughts: { isOpen: false, apart: true } })).toMatchObject({
    text: '',
    reasoning: 'still',
  })
  expect(readAnyhow('No thought', { thoughts: { isOpen: false, apart: true } })).toMatchObject({
    text: 'No thought',
  })
})

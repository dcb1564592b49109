import { expect, test } from 'playwright/test'
import type { RequestEvent } from '../../packages/protocol/src/index.ts'
import { openAiProtocol } from '../../packages/client/src/remote/openai-protocol.ts'
import { CALL_FAMILIES, familyOf } from '../../packages/runtime/src/tools/call-family.ts'
import { KnownTools } from '../../packages/runtime/src/tools/known-tools.ts'
import { readAnswers } from '../../packages/runtime/src/tools/read-answers.ts'
import { templateMessages } from '../../packages/runtime/src/tools/template-messages.ts'
import { planAnswer } from '../../packages/runtime/src/tools/tool-plan.ts'

const TOOLS = [{ name: 'get_time' }]
const FORMAT = {
  calls: { family: CALL_FAMILIES.hermes, tools: new KnownTools(TOOLS) },
  thoughts: { isOpen: true, apart: true },
}
const CALL = '<tool_call>{"name": "get_time", "arguments": {"zone": "CET"}}</tool_call>'
const FIRST = `Well.</think>I look.\n${CALL}\n${CALL}`
const SECOND = '</think>No <tool_call'

/** What a caller has of each answer when it has heard everything, and how often an id was told. */
function heard(events: readonly RequestEvent[]) {
  const choices = [0, 1].map((choice) => {
    const deltas = events.flatMap((event) =>
      event.type === 'delta' && event.choice === choice ? [event] : [],
    )
    const calls = deltas.flatMap(({ toolCalls = [] }) => toolCalls)
    return {
      text: deltas.map(({ text }) => text).join(''),
      reasoning: deltas.map(({ reasoning = '' }) => reasoning).join(''),
      calls: [0, 1].map((index) =>
        calls
          .flatMap((call) => (call.index === index ? [`${call.name ?? ''}${call.arguments}`] : []))
          .join(''),
      ),
      ids: calls.flatMap(({ id }) => (id === undefined ? [] : [id])),
      tokens: deltas.flatMap(({ tokens }) => tokens),
    }
  })
  const last = events.at(-1)
  return { choices, reasons: last?.type === 'finish' ? last.choices.map(({ reason }) => reason) : [] }
}

const FINISH: RequestEvent = {
  type: 'finish',
  choices: [{ reason: 'stop' }, { reason: 'stop' }],
  usage: { promptTokens: 1, cachedTokens: 0, completionTokens: 2 },
  timing: { queueMs: 0, firstTokenMs: 0, totalMs: 0 },
}

const delta = (choice: number, text: string): RequestEvent => ({ type: 'delta', choice, text, tokens: [7] })

const WHOLE = [
  { text: 'I look.', reasoning: 'Well.', calls: ['get_time{"zone": "CET"}', 'get_time{"zone": "CET"}'] },
  { text: 'No <tool_call', reasoning: '', calls: ['', ''] },
]

test('each of several answers is read by itself, and ends as its calls say', () => {
  const events: RequestEvent[] = []
  const emit = readAnswers((event) => events.push(event), FORMAT)
  const length = Math.max(FIRST.length, SECOND.length)
  for (let at = 0; at < length; at++)
    for (const [choice, text] of [FIRST, SECOND].entries())
      if (at < text.length) emit(delta(choice, text.charAt(at)))
  emit(FINISH)
  const { choices, reasons } = heard(events)
  expect(choices).toMatchObject(WHOLE)
  expect(new Set(choices[0]?.ids).size).toBe(2)
  expect(reasons).toEqual(['tool_calls', 'stop'])
  expect(choices.map(({ tokens }) => tokens.length)).toEqual([FIRST.length, SECOND.length])
})

test('a replayed request goes on within a call, wherever its worker died, and tells nothing twice', () => {
  for (let cut = 0; cut <= FIRST.length; cut++) {
    const events: RequestEvent[] = []
    const said = [FIRST.slice(0, cut), SECOND.slice(0, cut)]
    const before = readAnswers((event) => events.push(event), FORMAT)
    said.forEach((text, choice) => before(delta(choice, text)))
    const after = readAnswers((event) => events.push(event), FORMAT, said)
    ;[FIRST, SECOND].forEach((text, choice) => after(delta(choice, text.slice(cut))))
    after(FINISH)
    const { choices, reasons } = heard(events)
    expect(choices, `cut at ${cut}`).toMatchObject(WHOLE)
    expect(choices[0]?.ids).toHaveLength(2)
    expect(reasons).toEqual(['tool_calls', 'stop'])
  }
})

test('a chat template says how its model writes calls', () => {
  const families = {
    hermes: '{% if tools %}<tool_call>\n{"name": <function-name>}\n</tool_call>',
    'qwen3-coder': '{% if tools %}<tool_call>\n<function=example>',
    'llama3-json':
      '{% if tools %}{"name": function name, "parameters": dictionary of argument name and its value}',
    mistral: '{{ tools }}[TOOL_CALLS]',
    deepseek: '{{ tools }}<｜tool▁calls▁begin｜>',
    granite: '{{ tools }}<|tool_call|>',
    'phi4-mini': '{% if tools %}functools[{"name":',
    gemma: '{{ tools }}<start_function_call>call:',
    lfm2: '{{ "List of tools: " + (tools | tojson) }}',
    hunyuan: '{{ tools }}<tool_calls>',
    pythonic: '{{ tools }}[func_name1(params_name1=params_value1)]',
  }
  for (const [family, template] of Object.entries(families)) expect(familyOf(template), template).toBe(family)
  expect(familyOf('{{ messages }}<tool_call>')).toBeUndefined() // it cannot tell the model of any
  expect(familyOf(undefined)).toBeUndefined()
})

test('calls and results become what templates know', () => {
  const messages = [
    {
      role: 'assistant' as const,
      content: '',
      toolCalls: [
        { id: 'a', name: 'f', arguments: '{"x": 1}' },
        { id: 'b', name: 'g', arguments: '{' },
      ],
    },
    { role: 'tool' as const, content: '3', toolCallId: 'a' },
  ]
  const calls = [
    { id: 'a', type: 'function', function: { name: 'f', arguments: { x: 1 } } },
    { id: 'b', type: 'function', function: { name: 'g', arguments: '{' } },
  ]
  expect(templateMessages(messages, '')).toEqual([
    { role: 'assistant', content: '', tool_calls: calls },
    { role: 'tool', content: '3', tool_call_id: 'a', name: 'f' },
  ])
  const [bare] = templateMessages(messages, "{% if message['content'] is none %}")
  expect(bare).toMatchObject({ content: null })
})

test('what a model cannot do with tools is refused before anything is computed', () => {
  const request = {
    task: 'generate',
    model: 'm',
    messages: [{ role: 'user', content: 'a' }],
    tools: TOOLS,
  } as const
  const refusal = (change: object, parser: 'hermes' | 'pythonic' | undefined) => {
    try {
      planAnswer({ ...request, ...change }, { parser, thinks: false })
    } catch (error) {
      const { code, param } = error as { code?: string; param?: string }
      return `${code} ${param}`
    }
    return 'none'
  }
  expect(refusal({}, 'hermes')).toBe('none')
  expect(refusal({}, undefined)).toBe('unsupported_parameter toolChoice')
  expect(refusal({ toolChoice: 'required' }, undefined)).toBe('none')
  expect(refusal({ parallelToolCalls: false }, 'pythonic')).toBe('unsupported_parameter parallelToolCalls')
  expect(refusal({ tools: [{ name: 'f', strict: true }] }, 'pythonic')).toBe('unsupported_parameter tools')
  expect(refusal({ structuredOutputs: { regex: 'a' } }, 'pythonic')).toBe(
    'unsupported_parameter structuredOutputs',
  )
  expect(refusal({ structuredOutputs: { regex: 'a' } }, 'hermes')).toBe('none')
  expect(refusal({ messages: undefined, prompt: 'a' }, 'hermes')).toBe('bad_request tools')
  expect(refusal({ tools: [{ name: 'no spaces' }] }, 'hermes')).toBe('bad_request tools[0].name')
  expect(refusal({ tools: [{ name: 'f', extra: 1 }] }, 'hermes')).toBe('bad_request tools[0].extra')
  expect(refusal({ toolChoice: 'any' }, 'hermes')).toBe('bad_request toolChoice')
})

test('a thought that a grammar leaves no room for is not looked for', () => {
  const request = {
    task: 'generate',
    model: 'm',
    messages: [{ role: 'user', content: 'a' }],
    separateReasoning: true,
  } as const
  const habits = { parser: undefined, thinks: true }
  expect(planAnswer(request, habits).format('<think>\n')).toEqual({ thoughts: { isOpen: true, apart: true } })
  expect(
    planAnswer({ ...request, structuredOutputs: { regex: 'a' } }, habits).format('<think>\n'),
  ).toBeUndefined()
})

test("a server's calls come as a worker's do, and tools go to it in its words", () => {
  const { body, pieces } = openAiProtocol
  const messages = [
    { role: 'user', content: 'a' },
    { role: 'assistant', content: '', toolCalls: [{ id: 'x', name: 'f', arguments: '{}' }] },
    { role: 'tool', content: '1', toolCallId: 'x' },
  ] as const
  expect(
    body({ task: 'generate', model: 'm', messages, tools: TOOLS, toolChoice: { name: 'get_time' } }, 'big'),
  ).toMatchObject({
    messages: [
      { role: 'user', content: 'a' },
      {
        role: 'assistant',
        tool_calls: [{ id: 'x', type: 'function', function: { name: 'f', arguments: '{}' } }],
      },
      { role: 'tool', content: '1', tool_call_id: 'x' },
    ],
    tools: [{ type: 'function', function: { name: 'get_time' } }],
    tool_choice: { type: 'function', function: { name: 'get_time' } },
  })
  const call = { index: 0, id: 'x', type: 'function', function: { name: 'f', arguments: '{"a"' } }
  const said = {
    choices: [
      { index: 1, delta: { reasoning_content: 'Hm', tool_calls: [call] }, finish_reason: 'tool_calls' },
    ],
  }
  expect(pieces(said)).toEqual([
    { type: 'reasoning', choice: 1, text: 'Hm' },
    { type: 'calls', choice: 1, calls: [{ index: 0, id: 'x', name: 'f', arguments: '{"a"' }] },
    { type: 'end', choice: 1, reason: 'tool_calls' },
  ])
})

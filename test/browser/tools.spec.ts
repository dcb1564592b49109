import { Ajv2020 } from 'ajv/dist/2020.js'
import type OpenAI from 'openai'
import { MODEL, expect, test } from './fixtures.ts'
import { giveSdk } from './openai-sdk.ts'

const ASK = [{ role: 'user' as const, content: 'a story about a cat' }]

const WEATHER = {
  type: 'object',
  properties: {
    city: { enum: ['Paris', 'Rome'] },
    days: { type: 'integer', minimum: 1, maximum: 9 },
    note: { type: 'string', maxLength: 12 },
  },
  required: ['city', 'days', 'note'],
  additionalProperties: false,
}
const TIME = {
  type: 'object',
  properties: { zone: { enum: ['CET', 'UTC'] } },
  required: ['zone'],
  additionalProperties: false,
}
const TOOLS = [
  {
    type: 'function' as const,
    function: { name: 'get_weather', description: 'The weather', parameters: WEATHER },
  },
  { type: 'function' as const, function: { name: 'get_time', parameters: TIME, strict: true } },
]

const ajv = new Ajv2020()
const isValid = { get_weather: ajv.compile(WEATHER), get_time: ajv.compile(TIME) }

interface Called {
  readonly id: string
  readonly function: { readonly name: string; readonly arguments: string }
}

/** Fails unless every call is one of the tools, with arguments as its schema wants them. */
function expectValid(calls: readonly Called[]): void {
  for (const { id, function: called } of calls) {
    expect(id).toMatch(/^\w{9}$/)
    const check = isValid[called.name as keyof typeof isValid]
    expect(check(JSON.parse(called.arguments)), called.arguments).toBe(true)
  }
}

test.beforeEach(({ doorsPage }) => giveSdk(doorsPage))

const CHOICES: readonly [string, OpenAI.ChatCompletionToolChoiceOption][] = [
  ['a named tool', { type: 'function', function: { name: 'get_weather' } }],
  ['required', 'required'],
]
for (const [what, choice] of CHOICES) {
  test(`${what} gives calls with valid arguments through the openai package, streamed as whole`, async ({
    doorsPage,
  }) => {
    const found = await doorsPage.evaluate(
      async ({ messages, tools, choice }) => {
        const request = {
          model: 'stories@1',
          messages: [...messages],
          tools: [...tools],
          tool_choice: choice,
          parallel_tool_calls: false, // it is too small to know when it has called enough
          max_tokens: 200,
          n: 2,
          seed: 5,
        }
        const whole = await window.sdk.chat.completions.create(request)
        const chunks = []
        const options = { include_usage: true }
        const stream = await window.sdk.chat.completions.create({
          ...request,
          stream: true,
          stream_options: options,
        })
        for await (const chunk of stream) chunks.push(chunk)
        // The SDK puts the deltas together itself.
        const helped = await window.sdk.chat.completions.stream(request).finalChatCompletion()
        return { whole, chunks, helped }
      },
      { messages: ASK, tools: TOOLS, choice },
    )
    const { whole, chunks, helped } = found
    expect(whole.choices).toHaveLength(2)
    for (const { index, message, finish_reason } of whole.choices) {
      expect(message.content).toBeNull()
      expect(finish_reason).toBe('tool_calls')
      const calls = (message.tool_calls ?? []) as Called[]
      expect(calls.length).toBeGreaterThanOrEqual(1)
      if (what === 'a named tool') expect(calls.map((call) => call.function.name)).toEqual(['get_weather'])
      expectValid(calls)
      const deltas = chunks.flatMap(({ choices }) => choices.filter((choice) => choice.index === index))
      const pieces = deltas.flatMap(({ delta }) => delta.tool_calls ?? [])
      expect(pieces.length).toBeGreaterThan(calls.length) // arguments come in pieces
      for (const [place, call] of calls.entries()) {
        const own = pieces.filter((piece) => piece.index === place)
        expect(own.map((piece) => piece.function?.arguments ?? '').join('')).toBe(call.function.arguments)
        expect(own[0]).toMatchObject({ type: 'function', function: { name: call.function.name } })
        expect(own.filter(({ id }) => id !== undefined)).toHaveLength(1)
      }
      expect(deltas.at(-1)).toMatchObject({ delta: {}, finish_reason: 'tool_calls' })
      const functions = (calls: readonly Called[] = []) => calls.map((call) => call.function)
      expect(functions(helped.choices[index]?.message.tool_calls as Called[])).toMatchObject(functions(calls))
    }
    expect(chunks.at(-1)?.usage?.completion_tokens).toBe(whole.usage?.completion_tokens)
  })
}

test('none never calls, auto is refused where no form of calls is known, and wrong tools are refused', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(
    async ({ messages, tools }) => {
      const request = { model: 'stories@1', messages: [...messages], tools: [...tools], max_tokens: 12 }
      const none = await window.sdk.chat.completions.create({ ...request, tool_choice: 'none', seed: 1 })
      const without = await window.sdk.chat.completions.create({ ...request, tools: [], seed: 1 })
      const refusal = async (change: object) => {
        const error: unknown = await window.sdk.chat.completions
          .create({ ...request, ...change } as never)
          .catch((error: unknown) => error)
        const { status, code, param } = error as InstanceType<typeof OpenAI.APIError>
        return { status, code, param }
      }
      const broken = { type: 'object', patternProperties: { a: {} } }
      const strict = { type: 'function', function: { name: 'f', parameters: broken, strict: true } }
      const format = { type: 'json_object' }
      return {
        none: none.choices[0],
        without: without.choices[0],
        auto: await refusal({}),
        unknown: await refusal({ tool_choice: { type: 'function', function: { name: 'x' } } }),
        nothing: await refusal({ tools: [], tool_choice: 'required' }),
        twice: await refusal({ tools: [tools[0], tools[0]], tool_choice: 'required' }),
        strict: await refusal({ tools: [strict], tool_choice: 'required' }),
        both: await refusal({ tool_choice: 'required', response_format: format }),
      }
    },
    { messages: ASK, tools: TOOLS },
  )
  expect(found.none?.message.tool_calls).toBeUndefined()
  expect(found.none?.message.content).toBe(found.without?.message.content)
  expect(found.auto).toMatchObject({ status: 400, code: 'unsupported_parameter', param: 'tool_choice' })
  expect(found.unknown).toMatchObject({ status: 400, code: 'bad_request', param: 'tool_choice' })
  expect(found.nothing).toMatchObject({ status: 400, code: 'bad_request', param: 'tool_choice' })
  expect(found.twice).toMatchObject({ status: 400, code: 'bad_request', param: 'tools[1].name' })
  expect(found.strict).toMatchObject({ status: 400, code: 'bad_request' })
  expect(found.both).toMatchObject({ code: 'unsupported_parameter', param: 'response_format' })
})

test('responses gives function_call items whose events come to the whole, and reads them back', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(
    async ({ parameters }) => {
      const tools = [{ type: 'function' as const, name: 'get_weather', parameters, strict: true }]
      const choice = { type: 'function' as const, name: 'get_weather' }
      const request = {
        model: 'stories@1',
        input: 'a story about a cat',
        tools,
        tool_choice: choice,
        max_output_tokens: 160,
        temperature: 0,
      }
      const whole = await window.sdk.responses.create(request)
      const events = []
      for await (const event of await window.sdk.responses.create({ ...request, stream: true }))
        events.push(event)
      const [call] = whole.output
      if (call?.type !== 'function_call') throw new Error('no call')
      const next = await window.sdk.responses.create({
        model: 'stories@1',
        input: [
          { role: 'user', content: 'a story about a cat' },
          call,
          { type: 'function_call_output', call_id: call.call_id, output: '{"sun": true}' },
        ],
        tools,
        tool_choice: 'none',
        text: { format: { type: 'json_schema', name: 'x', schema: { enum: ['sun', 'rain'] } } },
      })
      return { whole, events, call, next }
    },
    { parameters: WEATHER },
  )
  const { whole, events, call, next } = found
  expect(whole).toMatchObject({
    status: 'completed',
    output: [{ type: 'function_call', name: 'get_weather' }],
  })
  expectValid([{ id: call.call_id, function: call }])
  const types = events.map(({ type }) => type)
  expect(types.filter((type) => type !== 'response.function_call_arguments.delta')).toEqual([
    'response.created',
    'response.in_progress',
    'response.output_item.added',
    'response.function_call_arguments.done',
    'response.output_item.done',
    'response.completed',
  ])
  const deltas = events.flatMap((event) =>
    event.type === 'response.function_call_arguments.delta' ? [event.delta] : [],
  )
  expect(deltas.length).toBeGreaterThan(1)
  expect(deltas.join('')).toBe(call.arguments)
  expect(events.map(({ sequence_number }) => sequence_number)).toEqual(events.map((_, index) => index))
  expect(['"sun"', '"rain"']).toContain(next.output_text.trim())
})

test("the AI SDK's tool loop runs a tool and goes on with its result, generated and streamed", async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(
    async ({ parameters }) => {
      const { createTabserve, generateText, streamText, isStepCount, jsonSchema, tool } = window.doors
      const asked: unknown[] = []
      const request = {
        model: createTabserve(window.client)('stories@1'),
        prompt: 'a story about a cat',
        tools: {
          get_weather: tool({
            description: 'The weather',
            inputSchema: jsonSchema(parameters),
            execute: (input: unknown) => {
              asked.push(input)
              return Promise.resolve({ sun: true })
            },
          }),
        },
        stopWhen: isStepCount(2),
        // Forced once: the model is too small to choose.
        prepareStep: ({ stepNumber }: { stepNumber: number }) => ({
          toolChoice: stepNumber === 0 ? ('required' as const) : ('none' as const),
        }),
        providerOptions: { tabserve: { parallelToolCalls: false } },
        maxOutputTokens: 200,
        temperature: 0,
        maxRetries: 0,
      }
      const { steps, text } = await generateText(request)
      const stream = streamText(request)
      const parts: string[] = []
      let input = ''
      for await (const part of stream.fullStream) {
        parts.push(part.type)
        if (part.type === 'tool-input-delta') input += part.delta
      }
      return {
        asked,
        input,
        parts,
        streamed: await stream.text,
        text,
        steps: steps.map(({ toolCalls, toolResults, finishReason }) => ({
          finishReason,
          inputs: toolCalls.map(({ input }) => input),
          results: toolResults.map(({ output }) => output as unknown),
        })),
      }
    },
    { parameters: WEATHER } as never,
  )
  const { asked, steps, text, streamed, input, parts } = found
  expect(steps.map(({ finishReason }) => finishReason)).toEqual([
    'tool-calls',
    expect.stringMatching(/stop|length/),
  ])
  expect(steps[0]?.results).toContainEqual({ sun: true })
  expect(steps[1]?.inputs).toEqual([])
  for (const given of asked) expect(isValid.get_weather(given)).toBe(true)
  expect(asked.slice(0, asked.length / 2)).toEqual(asked.slice(asked.length / 2))
  expect(text.length).toBeGreaterThan(10)
  expect(streamed).toBe(text)
  expect(input.length).toBeGreaterThan(10)
  expect(parts).toEqual(
    expect.arrayContaining(['tool-input-start', 'tool-input-end', 'tool-call', 'tool-result', 'text-delta']),
  )
})

test('a model that knows a form of calls is held to it, and its text is read for calls', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(
    async ({ url, messages, tools }) => {
      const info = await window.client.load(url, { toolParser: 'hermes' })
      const ours = tools.map(({ function: { name, parameters } }) => ({ name, parameters }))
      const request = { model: 'stories@2', messages: [...messages], tools: ours, maxTokens: 200, seed: 3 }
      const forced = await window.client.generate({
        ...request,
        toolChoice: 'required',
        parallelToolCalls: false,
      })
      // What a model that can call tools would write: here a regular expression makes it do so.
      const call =
        '<tool_call>\\n\\{"name": "get_time", "arguments": \\{"zone": "(CET|UTC)"\\}\\}\\n</tool_call>'
      const written = { regex: `Let me (look|see)\\.\\n${call}\\n${call}` }
      const auto = window.client.generate({ ...request, structuredOutputs: written })
      const texts = []
      for await (const { text } of auto) texts.push(text)
      const strict = ours.map((tool) => ({ ...tool, strict: true }))
      const held = await window.client.generate({ ...request, tools: strict, maxTokens: 20 })
      const none = await window.client.generate({
        ...request,
        structuredOutputs: written,
        toolChoice: 'none',
      })
      return { parser: info.toolParser, forced, auto: await auto, texts, held, none }
    },
    { url: MODEL.stories2, messages: ASK, tools: TOOLS },
  )
  const { parser, forced, auto, texts, held, none } = found
  expect(parser).toBe('hermes')
  expect(forced).toMatchObject({ finishReason: 'tool_calls', text: '', toolCalls: [expect.anything()] })
  const shaped = (calls: typeof forced.toolCalls) => calls.map((call) => ({ id: call.id, function: call }))
  expectValid(shaped(forced.toolCalls))
  expect(auto.finishReason).toBe('tool_calls')
  expect(auto.text.trim()).toMatch(/^Let me (look|see)\.$/)
  expect(auto.toolCalls.map(({ name }) => name)).toEqual(['get_time', 'get_time'])
  expectValid(shaped(auto.toolCalls))
  expect(texts.join('')).toBe(auto.text)
  expect(held).toMatchObject({ toolCalls: [], finishReason: 'length' })
  expect(held.text.length).toBeGreaterThan(20)
  expect(none.toolCalls).toEqual([])
  expect(none.text).toContain('<tool_call>')
})

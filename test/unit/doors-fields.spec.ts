import { expect, test } from 'playwright/test'
import { OpenAIDoor } from '../../packages/client/src/doors/openai/openai-door.ts'
import type { ServedClient } from '../../packages/client/src/doors/served-client.ts'
import { FakeClient } from './fake-client.ts'

/** What becomes of a field: our options, or nothing at all, or a refusal by its name. */
type Fate = Readonly<Record<string, unknown>> | 'passed over' | 'unsupported_parameter' | 'bad_request'
type Row = readonly [field: string, value: unknown, fate: Fate]

const TOOL = { type: 'function', function: { name: 'f', parameters: { type: 'object' }, strict: true } }
const FLAT_TOOL = { type: 'function', name: 'f', parameters: { type: 'object' }, strict: null }
const OTHER = { type: 'function', function: { name: 'g', description: 'd' } }
const F = { name: 'f', parameters: { type: 'object' }, strict: true }
const SCHEMA = { type: 'object', properties: {} }

/** The fields of §5.1 of serving.md, and vLLM's. */
const CHAT: readonly Row[] = [
  ['max_completion_tokens', 3, { maxTokens: 3 }],
  ['max_tokens', 3, { maxTokens: 3 }],
  ['temperature', 0.5, { temperature: 0.5 }],
  ['top_p', 0.5, { topP: 0.5 }],
  ['n', 2, { n: 2 }],
  ['stop', ['a'], { stop: ['a'] }],
  ['seed', 4, { seed: 4 }],
  ['stream', false, 'passed over'],
  ['presence_penalty', 1, { presencePenalty: 1 }],
  ['frequency_penalty', 1, { frequencyPenalty: 1 }],
  ['logit_bias', { 1: 2 }, { logitBias: { 1: 2 } }],
  ['logprobs', true, { logprobs: 0 }],
  ['top_logprobs', 2, 'bad_request'], // without logprobs
  ['response_format', { type: 'text' }, 'passed over'],
  ['response_format', { type: 'json_object' }, { structuredOutputs: { jsonObject: true } }],
  [
    'response_format',
    { type: 'json_schema', json_schema: { name: 'x', schema: SCHEMA, strict: true } },
    { structuredOutputs: { json: SCHEMA } },
  ],
  ['tools', [TOOL, OTHER], { tools: [F, { name: 'g', description: 'd' }] }],
  ['tools', [{ type: 'custom', custom: { name: 'x' } }], 'unsupported_parameter'],
  ['tools', [{ type: 'function' }], 'bad_request'],
  ['tool_choice', 'none', { toolChoice: 'none' }],
  ['tool_choice', 'required', { toolChoice: 'required' }],
  ['tool_choice', { type: 'function', function: { name: 'f' } }, { toolChoice: { name: 'f' } }],
  ['tool_choice', { type: 'custom', custom: { name: 'f' } }, 'unsupported_parameter'],
  ['tool_choice', { type: 'allowed_tools', allowed_tools: { mode: 'any', tools: [TOOL] } }, 'bad_request'],
  ['parallel_tool_calls', false, { parallelToolCalls: false }],
  ['functions', [{}], 'unsupported_parameter'],
  ['function_call', { name: 'f' }, 'unsupported_parameter'],
  ['reasoning_effort', 'high', 'unsupported_parameter'],
  ['reasoning_effort', 'none', 'passed over'],
  ['verbosity', 'low', 'unsupported_parameter'],
  ['verbosity', 'medium', 'passed over'],
  ['prediction', { type: 'content', content: 'once upon' }, 'unsupported_parameter'],
  ['prompt_cache_key', 'k', 'passed over'],
  ['prompt_cache_retention', '24h', 'passed over'],
  ['metadata', { a: 'b' }, 'passed over'],
  ['store', true, 'passed over'],
  ['user', 'u', 'passed over'],
  ['safety_identifier', 's', 'passed over'],
  ['service_tier', 'flex', 'passed over'],
  ['modalities', ['text'], 'passed over'],
  ['modalities', ['text', 'audio'], 'unsupported_parameter'],
  ['audio', { voice: 'x' }, 'unsupported_parameter'],
  ['web_search_options', {}, 'unsupported_parameter'],
  ['top_k', 3, { topK: 3 }],
  ['min_p', 0.1, { minP: 0.1 }],
  ['repetition_penalty', 1.1, { repetitionPenalty: 1.1 }],
  ['min_tokens', 1, { minTokens: 1 }],
  ['ignore_eos', true, { ignoreEos: true }],
  ['stop_token_ids', [1], { stopTokenIds: [1] }],
  ['allowed_token_ids', [1], { allowedTokenIds: [1] }],
  ['structured_outputs', { choice: ['a'] }, { structuredOutputs: { choice: ['a'] } }],
  ['priority', 1, { priority: 1 }],
  ['cache_salt', 's', { cacheSalt: 's' }],
  ['deadlineMs', 9, { timeoutMs: 9 }],
  ['chat_template_kwargs', { enable_thinking: false }, { templateOptions: { enable_thinking: false } }],
  ['bad_words', ['x'], 'unsupported_parameter'],
  ['bad_words', [], 'passed over'],
  ['include_stop_str_in_output', true, 'unsupported_parameter'],
  ['skip_special_tokens', false, 'unsupported_parameter'],
  ['add_generation_prompt', true, 'passed over'],
  ['add_generation_prompt', false, 'unsupported_parameter'],
  ['continue_final_message', true, 'unsupported_parameter'],
  ['nonsense', 1, 'unsupported_parameter'],
]

/** §5.2. */
const COMPLETIONS: readonly Row[] = [
  ['best_of', 1, 'passed over'],
  ['best_of', 2, 'unsupported_parameter'],
  ['echo', false, 'passed over'],
  ['frequency_penalty', 1, { frequencyPenalty: 1 }],
  ['logit_bias', { 1: 2 }, { logitBias: { 1: 2 } }],
  ['logprobs', 2, { logprobs: 2 }],
  ['max_tokens', 3, { maxTokens: 3 }],
  ['presence_penalty', 1, { presencePenalty: 1 }],
  ['seed', 1, { seed: 1 }],
  ['stop', 'x', { stop: 'x' }],
  ['suffix', 'x', 'unsupported_parameter'],
  ['temperature', 0, { temperature: 0 }],
  ['top_p', 1, { topP: 1 }],
  ['user', 'u', 'passed over'],
  ['tools', [TOOL], 'unsupported_parameter'],
]

/** §5.4. */
const RESPONSES: readonly Row[] = [
  [
    'instructions',
    'Be brief.',
    {
      messages: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'a' },
      ],
    },
  ],
  ['max_output_tokens', 3, { maxTokens: 3 }],
  ['temperature', 0, { temperature: 0 }],
  ['top_p', 1, { topP: 1 }],
  ['top_logprobs', 0, 'passed over'],
  ['top_logprobs', 2, 'unsupported_parameter'],
  ['text', { format: { type: 'text' }, verbosity: 'medium' }, 'passed over'],
  ['text', { format: { type: 'json_object' } }, { structuredOutputs: { jsonObject: true } }],
  [
    'text',
    { format: { type: 'json_schema', name: 'x', schema: SCHEMA } },
    { structuredOutputs: { json: SCHEMA } },
  ],
  ['text', { format: { type: 'json_schema', name: 'x' } }, 'bad_request'],
  ['text', { verbosity: 'high' }, 'unsupported_parameter'],
  ['tools', [FLAT_TOOL], { tools: [{ name: 'f', parameters: { type: 'object' } }] }],
  ['tools', [{ type: 'web_search' }], 'unsupported_parameter'],
  ['tool_choice', 'required', { toolChoice: 'required' }],
  ['tool_choice', { type: 'function', name: 'f' }, { toolChoice: { name: 'f' } }],
  ['tool_choice', { type: 'file_search' }, 'unsupported_parameter'],
  ['parallel_tool_calls', true, { parallelToolCalls: true }],
  ['previous_response_id', 'r', 'unsupported_parameter'],
  ['conversation', 'c', 'unsupported_parameter'],
  ['store', false, 'passed over'],
  ['truncation', 'disabled', 'passed over'],
  ['truncation', 'auto', { contextOverflow: 'truncate-start' }],
  ['metadata', { a: 'b' }, 'passed over'],
  ['reasoning', { effort: 'low' }, 'unsupported_parameter'],
  ['prompt_cache_key', 'k', 'passed over'],
  ['include', [], 'passed over'],
  ['include', ['message.output_text.logprobs'], 'unsupported_parameter'],
  ['background', false, 'passed over'],
  ['background', true, 'unsupported_parameter'],
  ['max_tool_calls', 1, 'unsupported_parameter'],
]

type Create = (door: OpenAIDoor, body: object) => Promise<unknown>

const ENDPOINTS: readonly (readonly [string, object, readonly Row[], Create])[] = [
  [
    'chat.completions',
    { messages: [{ role: 'user', content: 'a' }] },
    CHAT,
    (door, body) => door.chat.completions.create(body as never),
  ],
  ['completions', { prompt: 'a' }, COMPLETIONS, (door, body) => door.completions.create(body as never)],
  ['responses', { input: 'a' }, RESPONSES, (door, body) => door.responses.create(body as never)],
]

for (const [endpoint, body, rows, create] of ENDPOINTS) {
  test(`${endpoint}: every field becomes our option, or is passed over, or is refused`, async () => {
    for (const [field, value, fate] of rows) {
      const asked = await outcome(create, { model: 'm', ...body, [field]: value })
      const what = `${field} ${JSON.stringify(value)}`
      if (typeof fate === 'object') expect.soft(asked, what).toMatchObject(fate)
      else if (fate !== 'passed over') expect.soft(asked, what).toBe(fate)
      else expect.soft(asked, what).toEqual(await outcome(create, { model: 'm', ...body }))
    }
  })
}

test('allowed_tools leaves the tools that it names, in both forms', async () => {
  const [, chat, , createChat] = ENDPOINTS[0]!
  const choice = { mode: 'required', tools: [{ type: 'function', function: { name: 'f' } }] }
  const both = { model: 'm', ...chat, tools: [TOOL, OTHER] }
  const asked = await outcome(createChat, {
    ...both,
    tool_choice: { type: 'allowed_tools', allowed_tools: choice },
  })
  expect(asked).toMatchObject({ tools: [F], toolChoice: 'required' })
  const [, responses, , createResponse] = ENDPOINTS[2]!
  const flat = { type: 'allowed_tools', mode: 'auto', tools: [{ type: 'function', name: 'f' }] }
  const tools = [FLAT_TOOL, { ...FLAT_TOOL, name: 'g' }]
  expect(await outcome(createResponse, { model: 'm', ...responses, tools, tool_choice: flat })).toMatchObject(
    { tools: [{ name: 'f' }], toolChoice: 'auto' },
  )
  const unknown = {
    type: 'allowed_tools',
    allowed_tools: { mode: 'auto', tools: [{ type: 'function', function: { name: 'h' } }] },
  }
  expect(await outcome(createChat, { ...both, tool_choice: unknown })).toBe('bad_request')
})

/** What the client is asked for, or the code of the refusal, after which nobody is asked. */
async function outcome(create: Create, body: object): Promise<unknown> {
  const client = new FakeClient()
  let code: unknown
  const answer = create(new OpenAIDoor(client as unknown as ServedClient), body).catch(
    (error: { code?: unknown }) => (code = error.code),
  )
  await new Promise((resolve) => setTimeout(resolve, 0))
  client.asked[0]?.finish()
  await answer
  if (code === undefined) {
    const { signal: _, ...options } = client.asked[0]?.options ?? { signal: undefined }
    return options
  }
  expect(client.asked).toEqual([])
  return code
}

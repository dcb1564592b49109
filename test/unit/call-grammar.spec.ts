import { copyFileSync, mkdtempSync } from 'node:fs'
import { createRequire } from 'node:module'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import type { ToolDefinition } from '../../packages/protocol/src/index.ts'
import { TOOL_PARSERS } from '../../packages/protocol/src/index.ts'
import type { GrammarSpec } from '../../packages/runtime/src/grammar/grammar-spec.ts'
import type { StructuralFormat } from '../../packages/runtime/src/grammar/structural-format.ts'
import { replaceSchemas } from '../../packages/runtime/src/grammar/structural-format.ts'
import { AnswerReader } from '../../packages/runtime/src/tools/answer-reader.ts'
import { CALL_FAMILIES, PLAIN_JSON } from '../../packages/runtime/src/tools/call-family.ts'
import { forcedCalls, heldCalls, structureOrCall } from '../../packages/runtime/src/tools/call-grammar.ts'
import type { CallSyntax } from '../../packages/runtime/src/tools/call-syntax.ts'
import { KnownTools } from '../../packages/runtime/src/tools/known-tools.ts'
import type { ToolRequest } from '../../packages/runtime/src/tools/tool-request.ts'

const parameters = {
  type: 'object',
  properties: { city: { enum: ['Paris', 'Rome'] }, days: { type: 'integer' } },
  required: ['city', 'days'],
  additionalProperties: false,
}
const TOOLS: readonly ToolDefinition[] = [
  { name: 'get_weather', parameters },
  { name: 'get_time', parameters: { type: 'object', properties: {}, additionalProperties: false } },
]
const REQUEST: ToolRequest = { callable: TOOLS, told: TOOLS, isForced: true, isSingle: false }

const WRITTEN = Object.entries({ ...CALL_FAMILIES, plain: PLAIN_JSON }).flatMap(([name, family]) =>
  family.syntax === undefined ? [] : [[name, family, family.syntax] as const],
)

for (const [name, family, syntax] of WRITTEN) {
  test(`${name}: what the grammar writes is what the reader reads, and nothing else is accepted`, async () => {
    const weather = '{"city": "Rome", "days": 3}'
    const one = written(syntax, ['get_weather', weather])
    const both = written(syntax, ['get_weather', weather], ['get_time', '{}'])
    const wrong = written(syntax, ['get_weather', weather.replace('Rome', 'Oslo')])

    const forced = await acceptor(forcedCalls(REQUEST, syntax, 'never'))
    expect(await forced(one)).toBe(true)
    expect(await forced(both)).toBe(true)
    for (const text of ['', 'Hi', wrong, `${one} and`]) expect(await forced(text), text).toBe(false)
    const single = await acceptor(forcedCalls({ ...REQUEST, isSingle: true }, syntax, 'never'))
    expect([await single(one), await single(both)]).toEqual([true, false])

    const thoughtful = await acceptor(forcedCalls(REQUEST, syntax, 'may'))
    expect([await thoughtful(one), await thoughtful(`<think>\nHm.</think>\n\n${one}`)]).toEqual([true, true])
    const open = await acceptor(forcedCalls(REQUEST, syntax, 'open'))
    expect([await open(one), await open(`Hm.</think>\n\n${one}`)]).toEqual([false, true])

    const structured = await acceptor(structureOrCall({ kind: 'regex', text: 'ab+' }, REQUEST, syntax))
    expect([await structured('abb'), await structured(one), await structured('x')]).toEqual([
      true,
      true,
      false,
    ])

    expect(callsIn(one, family)).toEqual([['get_weather', { city: 'Rome', days: 3 }]])
    expect(callsIn(both, family)).toEqual([
      ['get_weather', { city: 'Rome', days: 3 }],
      ['get_time', {}],
    ])
  })
}

test('where a model may call, its text is free and its calls are held to their schemas', async () => {
  for (const [name, family, syntax] of WRITTEN) {
    if (family === PLAIN_JSON) continue
    const weather = '{"city": "Rome", "days": 3}'
    const one = written(syntax, ['get_weather', weather])
    const held = await acceptor(heldCalls({ ...REQUEST, isForced: false }, syntax))
    expect(await held('Just text, < and { and [.'), name).toBe(true)
    expect(await held(`Text. ${one} And more.`), name).toBe(true)
    expect(await held(one.replace('Rome', 'Oslo')), name).toBe(false)
    const single = await acceptor(heldCalls({ ...REQUEST, isForced: false, isSingle: true }, syntax))
    expect([await single(`Text. ${one}`), await single(`Text. ${one} And more.`)], name).toEqual([
      true,
      false,
    ])
  }
})

test('families without a syntax are the ones whose arguments are no JSON', () => {
  const without = TOOL_PARSERS.filter((parser) => CALL_FAMILIES[parser].syntax === undefined)
  expect(without).toEqual(['qwen3-coder', 'pythonic', 'gemma'])
})

test('a strict tool whose schema cannot be held to is refused, another is held to any object', async () => {
  const odd = { type: 'object', patternProperties: { a: {} } }
  const tools = (strict: boolean): ToolRequest => ({
    ...REQUEST,
    callable: [{ name: 'f', parameters: odd, strict }],
  })
  const { syntax } = CALL_FAMILIES.hermes
  expect(() => forcedCalls(tools(true), syntax!, 'never')).toThrow(/The tool f cannot be strict/)
  const forced = await acceptor(forcedCalls(tools(false), syntax!, 'never'))
  expect(await forced(written(syntax!, ['f', '{"any": [1]}']))).toBe(true)
})

function written(syntax: CallSyntax, ...calls: readonly (readonly [name: string, text: string])[]): string {
  const { open, begin, end, separator, close } = syntax
  return open + calls.map(([name, text]) => begin(name) + text + end).join(separator) + close
}

function callsIn(text: string, family: (typeof CALL_FAMILIES)['hermes']): [string, unknown][] {
  const calls: [string, string][] = []
  const reader = new AnswerReader(
    { calls: { family, tools: new KnownTools(TOOLS) } },
    {
      text: (text) => expect(text.trim()).toBe(''),
      reasoning: () => {},
      call: (name) => calls.push([name, '']),
      arguments: (text) => (calls.at(-1)![1] += text),
    },
  )
  reader.push(text)
  reader.end()
  return calls.map(([name, text]) => [name, JSON.parse(text)])
}

/** XGrammar itself, which in Node is a CommonJS file under a name that Node takes for another. */
function xgrammar(): typeof import('../../packages/runtime/node_modules/@mlc-ai/web-xgrammar') {
  const file = join(mkdtempSync(join(tmpdir(), 'tabserve-')), 'xgrammar.cjs')
  const require = createRequire(import.meta.url)
  copyFileSync(require.resolve('../../packages/runtime/node_modules/@mlc-ai/web-xgrammar/lib/index.js'), file)
  return require(file) as typeof import('../../packages/runtime/node_modules/@mlc-ai/web-xgrammar')
}

const library = xgrammar()

/** Says which texts a grammar accepts. */
async function acceptor(spec: GrammarSpec): Promise<(text: string) => Promise<boolean>> {
  const format = await replaceSchemas(JSON.parse(spec.text) as StructuralFormat, async (schema) => {
    const grammar = await library.Grammar.fromJSONSchema(JSON.stringify(schema), false, -1, [', ', ': '])
    return { type: 'grammar', grammar: grammar.toString() }
  })
  const grammar = await library.Grammar.fromStructuralTag({ type: 'structural_tag', format } as Record<
    string,
    unknown
  >)
  return (text) => library.Testings.isGrammarAcceptString(grammar, text)
}

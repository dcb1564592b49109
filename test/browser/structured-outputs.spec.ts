import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { Ajv2020 } from 'ajv/dist/2020.js'
import addFormats from 'ajv-formats'
import type { Page } from 'playwright/test'
import { convertibleSchema } from '../../packages/runtime/src/grammar/json-schema.ts'
import { MODEL, NO_SHARED, SHARED, expect, hasShared, load, test } from './fixtures.ts'

const PROMPT = 'Once upon a time'
const SUITE = join(SHARED, 'evals/json-schema-test-suite/tests/draft2020-12')

test.beforeEach(async ({ page }) => {
  await load(page, MODEL.stories2)
})

interface Answer {
  readonly text: string
  readonly reason: string
}

/** One answer a seed, all at once, at temperature 1. */
function answers(page: Page, structuredOutputs: object, numSeeds: number): Promise<Answer[]> {
  return page.evaluate(
    async ([prompt, structuredOutputs, numSeeds]) => {
      const ask = async (seed: number) => {
        const { text, finishReason: reason } = await window.client.generate({
          model: 'stories',
          prompt,
          seed,
          maxTokens: 80,
          structuredOutputs,
        })
        return { text, reason }
      }
      return Promise.all(Array.from({ length: numSeeds }, (_, seed) => ask(seed)))
    },
    [PROMPT, structuredOutputs, numSeeds] as const,
  )
}

test('regex, choice and grammar always match', async ({ page }) => {
  for (const { text } of await answers(page, { regex: '[A-Z][a-z]{2,6}, [0-9]{2}(am|pm)' }, 100))
    expect(text.trim()).toMatch(/^[A-Z][a-z]{2,6}, [0-9]{2}(am|pm)$/)
  const choices = ['yes', 'no', 'per"haps', 'Äpfel']
  const chosen = new Set((await answers(page, { choice: choices }, 100)).map(({ text }) => text.trim()))
  expect([...chosen].filter((text) => !choices.includes(text))).toEqual([])
  expect(chosen.size).toBeGreaterThan(1)
  const grammar = 'root ::= "a" inner* "z"\ninner ::= [b-d] | "(" inner ")"'
  for (const { text, reason } of await answers(page, { grammar }, 50))
    if (reason === 'stop') expect(text.trim()).toMatch(/^a[b-d()]*z$/)
})

test('every answer to a JSON schema is valid, over a hundred seeds at temperature 1', async ({ page }) => {
  test.skip(!hasShared, NO_SHARED)
  test.setTimeout(240_000)
  const schemas = [...OWN_SCHEMAS, ...suiteSchemas()]
  expect(schemas.length).toBeGreaterThanOrEqual(30)
  const ajv = new Ajv2020({ strict: false })
  addFormats.default(ajv)
  const inStepsOf32 = { maxRunning: 32 }
  await page.evaluate(([url, options]) => window.client.load(url, options), [
    MODEL.stories2,
    inStepsOf32,
  ] as const)
  const broken: unknown[] = []
  let numWhole = 0
  for (const schema of schemas) {
    const isValid = ajv.compile(schema)
    for (const { text, reason } of await answers(page, { json: schema }, 100)) {
      if (reason !== 'stop') continue // cut by its limit
      numWhole++
      if (!isValid(JSON.parse(text))) broken.push({ schema, text })
    }
  }
  console.log(`${schemas.length} schemas: ${numWhole} of ${100 * schemas.length} answers came to their end`)
  expect(broken).toEqual([])
  expect(numWhole).toBeGreaterThan(0.7 * 100 * schemas.length)
})

test('what cannot be held to is refused by name, and nobody else notices', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const codeOf = (structuredOutputs: object, more: object = {}) =>
      window.client
        .generate({ model: 'stories', prompt, maxTokens: 60, seed: 3, structuredOutputs, ...more })
        .then(
          ({ text }) => text,
          ({ code, message }: { code: string; message: string }) => `${code}: ${message}`,
        )
    const regex = { regex: '[a-z]{40} [a-z]{10}' }
    const alone = await codeOf(regex)
    // One that is wrong takes XGrammar with it, in the middle of the others.
    const beside = Promise.all([codeOf(regex), codeOf(regex)])
    const wrong = codeOf({ regex: '(?=a)b' })
    return {
      alone,
      beside: await beside,
      wrong: await wrong,
      after: await codeOf(regex),
      ebnf: await codeOf({ grammar: 'root ::= "a' }),
      schema: await codeOf({ json: { type: 'number', multipleOf: 3 } }),
      two: await codeOf({ regex: 'a', choice: ['b'] }),
      none: await codeOf({}),
      other: await codeOf({ lark: 'x' }),
      empty: await codeOf({ choice: [] }),
      ignoreEos: await codeOf({ regex: 'a' }, { ignoreEos: true }),
      impossible: await codeOf({ regex: 'a' }, { allowedTokenIds: [5] }),
    }
  }, PROMPT)
  expect(found.alone).toMatch(/^[a-z]{40} [a-z]{10}$/)
  expect(found.beside).toEqual([found.alone, found.alone])
  expect(found.after).toBe(found.alone)
  expect(found.wrong).toMatch(/^bad_request: .*Lookahead is not supported/)
  expect(found.ebnf).toMatch(/^bad_request: .*EBNF lexer error/)
  expect(found.schema).toMatch(/^bad_request: .*at #, "multipleOf" cannot be held to/)
  expect(found.two).toMatch(/^bad_request: .*exactly one of/)
  expect(found.none).toMatch(/^bad_request: .*exactly one of/)
  expect(found.other).toMatch(/^bad_request: .*has no lark/)
  expect(found.empty).toMatch(/^bad_request: .*choice/)
  expect(found.ignoreEos).toMatch(/^bad_request: .*ignoreEos/)
  expect(found.impossible).toMatch(/^bad_request: No token is left/)
})

test('while a large schema compiles, others go on', async ({ page }) => {
  const found = await page.evaluate(async (prompt) => {
    const properties = Object.fromEntries(
      Array.from({ length: 60 }, (_, index) => [
        `p${index}`,
        { type: 'string', pattern: `^[a-z]{2,30}${index}$` },
      ]),
    )
    const ask = (more: object) =>
      window.client.generate({ model: 'stories', prompt, maxTokens: 100, ...more })
    await ask({ structuredOutputs: { regex: 'a' } }) // the worker is there
    const times: number[] = []
    const large = ask({ structuredOutputs: { json: { type: 'object', properties } } })
    let compiled = Infinity
    void (async () => {
      for await (const _ of large) {
        compiled = Math.min(compiled, performance.now())
        break
      }
    })()
    const started = performance.now()
    while (compiled === Infinity) {
      await ask({ maxTokens: 5 })
      times.push(performance.now())
    }
    await large
    return { others: times.filter((time) => time < compiled).length, ms: compiled - started }
  }, PROMPT)
  expect(found.others).toBeGreaterThan(5)
})

test('n answers are held to it each, and a page that asks for none fetches no grammar', async ({ page }) => {
  const urls: string[] = []
  page.context().on('request', (request) => urls.push(request.url()))
  const texts = await page.evaluate(async (prompt) => {
    const request = { model: 'stories', prompt, maxTokens: 40, n: 4, seed: 1 }
    await window.client.generate(request)
    const before = performance.now()
    const { choices } = await window.client.generate({
      ...request,
      structuredOutputs: { choice: ['left', 'right'] },
    })
    return { texts: choices.map(({ text }) => text.trim()), before }
  }, PROMPT)
  expect(texts.texts).toHaveLength(4)
  for (const text of texts.texts) expect(['left', 'right']).toContain(text)
  expect(urls.filter((url) => url.endsWith('xgrammar.js'))).toHaveLength(1)
})

const named = (properties: object, more: object = {}) => ({
  type: 'object',
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
})

const OWN_SCHEMAS: readonly object[] = [
  named({
    name: { type: 'string', maxLength: 12 },
    age: { type: 'integer', minimum: 0, maximum: 120 },
    tags: { type: 'array', items: { enum: ['red', 'green', 'blue'] }, maxItems: 3 },
  }),
  {
    anyOf: [
      named({ kind: { const: 'cat' }, lives: { type: 'integer', minimum: 1, maximum: 9 } }),
      named({ kind: { const: 'day' }, when: { type: 'string', format: 'date' } }),
    ],
  },
  { type: 'array', items: { type: 'string', pattern: '^[a-z]{1,5}$' }, minItems: 2, maxItems: 4 },
  named({ at: { type: 'string', format: 'date-time' }, id: { type: 'string', format: 'uuid' } }),
  named({ to: { type: 'string', format: 'email' }, from: { type: 'string', format: 'ipv4' } }),
  {
    type: 'array',
    prefixItems: [{ type: 'integer', exclusiveMinimum: 3 }, { type: 'boolean' }],
    items: false,
    minItems: 2,
  },
  named(
    { child: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/node' }] } },
    {
      $defs: {
        node: named({
          value: { type: 'integer', minimum: -9, maximum: 9 },
          next: { type: ['boolean', 'null'] },
        }),
      },
    },
  ),
  named({
    score: { type: 'integer', minimum: 10 },
    low: { type: 'integer', maximum: -1 },
    word: { type: 'string', pattern: '^(yes|no|may.be)$' },
  }),
]

/** Those of the official suite that can be held to, a few of each file. */
function suiteSchemas(): object[] {
  const groups = readdirSync(SUITE)
    .filter((file) => file.endsWith('.json') && file !== 'vocabulary.json') // which names a schema that is not here
    .map((file) => JSON.parse(readFileSync(join(SUITE, file), 'utf8')) as { schema: unknown }[])
  return groups.flatMap((group) =>
    group
      .map(({ schema }) => schema)
      .filter(isConvertible)
      .slice(0, 6),
  )
}

function isConvertible(schema: unknown): schema is object {
  try {
    convertibleSchema(schema)
    return typeof schema === 'object'
  } catch {
    return false
  }
}

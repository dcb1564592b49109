import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { StructuredOutputs } from '@tabserve/protocol'
import type { Page } from 'playwright'
import type { Figure, Suite } from './figure.ts'
import { interleave } from './interleave.ts'
import { SHAPE_15M } from './shapes.ts'

const TOKENS = 100
const ROUNDS = 5
/** Each lets an answer go on for as long as it is measured. */
const GRAMMARS: Readonly<Record<string, StructuredOutputs>> = {
  regex: { regex: '[a-z ]{1000}' },
  'JSON schema': { json: { type: 'array', items: { type: 'string', maxLength: 20 }, minItems: 200 } },
}

/** What the APIs cost on top of the model: so far what it costs to hold answers to a grammar. */
export const doors: Suite = {
  about: 'ms a token of answers that are held to a grammar, against free ones; 1 and 8 at once',
  async run({ openPage, fixtures, log }) {
    log('Making a random model of the 15M shape.')
    const out = join(fixtures, '15m-q4')
    await makeRandomModel({
      shape: SHAPE_15M,
      contextLength: 512,
      weights: 'q4',
      out,
      name: 'random-15m',
      version: '1',
    })
    const figures: Figure[] = []
    for (const url of ['/models/stories/v2/', '/fixtures/bench/15m-q4/']) {
      const page = await openPage()
      const { id, vocabSize } = await load(page, url)
      for (const count of [1, 8]) {
        log(`${id}: ${count} at once.`)
        const cases = Object.entries({ free: undefined, ...GRAMMARS }).map(
          ([name, grammar]) => [name, () => msPerToken(page, id, count, grammar)] as const,
        )
        const ms = await interleave(Object.fromEntries(cases), ROUNDS)
        const what = (name: string) => `${id}, ${vocabSize} tokens, ${count} at once, ${name}`
        for (const [name, value] of Object.entries(ms)) {
          const figure = { suite: 'doors', case: what(name), metric: 'answer', value, unit: 'ms a token' }
          figures.push(
            name === 'free' ? figure : { ...figure, against: what('free'), ratio: ms['free']! / value },
          )
        }
      }
    }
    return figures
  },
}

function load(page: Page, url: string): Promise<{ id: string; vocabSize: number }> {
  return page.evaluate(async (url) => {
    window.client = await window.tabserve.createClient({ threads: 1 })
    const { id, manifest } = await window.client.load(url)
    if (manifest.task !== 'generate') throw new Error(`${id} does not generate text`)
    return { id, vocabSize: manifest.graph.vocabSize }
  }, url)
}

function msPerToken(
  page: Page,
  model: string,
  count: number,
  structuredOutputs: StructuredOutputs | undefined,
): Promise<number> {
  return page.evaluate(
    async ({ model, count, tokens, structuredOutputs }) => {
      const started = performance.now()
      const answers = await Promise.all(
        Array.from({ length: count }, (_, seed) =>
          window.client.generate({
            model,
            promptTokens: [1, 300 + seed, 7, 9],
            seed,
            maxTokens: tokens,
            ...(structuredOutputs === undefined ? { ignoreEos: true } : { structuredOutputs }),
          }),
        ),
      )
      const numTokens = answers.reduce((sum, { usage }) => sum + usage.completionTokens, 0)
      return (performance.now() - started) / numTokens
    },
    { model, count, tokens: TOKENS, structuredOutputs },
  )
}

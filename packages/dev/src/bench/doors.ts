import { join } from 'node:path'
import { makeRandomModel } from '@tabserve/convert'
import type { StructuredOutputs } from '@tabserve/protocol'
import type { Page } from 'playwright'
import type { Figure, Suite } from './figure.ts'
import { interleave } from './interleave.ts'
import { sessionFigures } from './sessions.ts'
import { SHAPE_15M } from './shapes.ts'

const TOKENS = 100
const ROUNDS = 5
/** Each lets an answer go on for as long as it is measured. */
const GRAMMARS: Readonly<Record<string, StructuredOutputs>> = {
  regex: { regex: '[a-z ]{1000}' },
  'JSON schema': { json: { type: 'array', items: { type: 'string', maxLength: 20 }, minItems: 200 } },
}

/** What the APIs cost on top of the model, and what they save. */
export const doors: Suite = {
  about:
    'ms a token of answers that are held to a grammar, or told to a telemetry hook, against free ones, 1 and 8 at once; a saved session restored, against its text read anew',
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
      const { id, vocabSize } = await load(page, url, false)
      const told = await openPage()
      await load(told, url, true)
      for (const count of [1, 8]) {
        log(`${id}: ${count} at once.`)
        const cases = Object.entries({ free: undefined, ...GRAMMARS }).map(
          ([name, grammar]) => [name, () => msPerToken(page, id, count, grammar)] as const,
        )
        const hook = () => msPerToken(told, id, count, undefined)
        const ms = await interleave(Object.fromEntries([...cases, ['telemetry hook', hook]]), ROUNDS)
        const what = (name: string) => `${id}, ${vocabSize} tokens, ${count} at once, ${name}`
        for (const [name, value] of Object.entries(ms)) {
          const figure = { suite: 'doors', case: what(name), metric: 'answer', value, unit: 'ms a token' }
          figures.push(
            name === 'free' ? figure : { ...figure, against: what('free'), ratio: ms['free']! / value },
          )
        }
      }
      log(`${id}: sessions.`)
      figures.push(...(await sessionFigures(page, id, 400)))
    }
    return figures
  },
}

/** @param isTold whether every event comes to the page, to a hook that does nothing. */
function load(page: Page, url: string, isTold: boolean): Promise<{ id: string; vocabSize: number }> {
  return page.evaluate(
    async ({ url, isTold }) => {
      const telemetry = isTold ? { telemetry: {} } : {}
      window.client = await window.tabserve.createClient({ threads: 1, ...telemetry })
      const { id, manifest } = await window.client.load(url)
      if (manifest.task !== 'generate') throw new Error(`${id} does not generate text`)
      return { id, vocabSize: manifest.graph.vocabSize }
    },
    { url, isTold },
  )
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

import type { SamplingParams } from '@tabserve/protocol'
import type { Page } from 'playwright'
import type { Figure, Suite } from './figure.ts'
import { interleave } from './interleave.ts'

const VOCABULARIES = [32_000, 50_257, 151_936]
const ROUNDS = 21
const PENALTIES = { repetitionPenalty: 1.1, presencePenalty: 0.5, frequencyPenalty: 0.5 }
const CASES: Readonly<Record<string, SamplingParams>> = {
  greedy: { temperature: 0 },
  temperature: { temperature: 0.8 },
  'top-k 40': { temperature: 0.8, topK: 40 },
  'top-p 0.9': { temperature: 0.8, topP: 0.9 },
  'min-p 0.05': { temperature: 0.8, minP: 0.05 },
  penalties: { temperature: 0, ...PENALTIES },
  'all of them': { temperature: 0.8, topK: 40, topP: 0.9, minP: 0.05, ...PENALTIES },
}

/** What it costs to choose the next token of one answer, by sampling options and vocabulary. */
export const sampling: Suite = {
  about:
    'ms to choose the next token of one answer, by options, at vocabularies of 32k, 50k and 152k; at most 5 ms wanted',
  async run({ openHarness, log }) {
    const page = await openHarness()
    const figures: Figure[] = []
    for (const vocabSize of VOCABULARIES) {
      log(`Vocabulary of ${vocabSize}.`)
      const cases = Object.entries(CASES).map(
        ([name, options]) => [name, () => timeSampling(page, vocabSize, options)] as const,
      )
      const ms = await interleave(Object.fromEntries(cases), ROUNDS)
      for (const [name, value] of Object.entries(ms)) {
        const what = `${vocabSize} tokens, ${name}`
        figures.push({ suite: 'sampling', case: what, metric: 'sampling', value, unit: 'ms a row' })
      }
    }
    return figures
  },
}

function timeSampling(page: Page, vocabSize: number, options: SamplingParams): Promise<number> {
  return page.evaluate(({ vocabSize, options }) => window.harness.timeSampling(vocabSize, options), {
    vocabSize,
    options,
  })
}

import { join } from 'node:path'
import type { Page } from 'playwright'
import { randomEncoder } from '../../../../test/tasks/encoder-spec.ts'
import { exportEncoder } from '../../../../test/tasks/export-encoder.ts'
import { wordTokenizer } from '../../../../test/tasks/word-tokenizer.ts'
import { writeTaskFolder } from '../../../../test/tasks/write-folder.ts'
import type { Figure, Suite } from './figure.ts'
import { interleave } from './interleave.ts'

const NUM_TEXTS = 64
const ROUNDS = 5
/** Calls before anything is measured: how many rows together pay is measured by the queue while it serves. */
const LEARNING = 4
const NUM_WORDS = 2000
/** MiniLM's shape, with a vocabulary that is quickly written. */
const SHAPE = {
  vocabSize: NUM_WORDS + 4,
  hiddenSize: 384,
  layers: 6,
  heads: 12,
  feedForwardSize: 1536,
  maxPositions: 128,
}

/** Embeddings of 64 texts: at once against one after the other, and against transformers.js on the same file. */
export const tasks: Suite = {
  about:
    '64 embeddings of MiniLM’s shape, at once and one by one, here and in transformers.js on the same file; one thread',
  async run({ openHarness, fixtures, log }) {
    log('Writing a random model of MiniLM’s shape.')
    await writeEncoder(join(fixtures, 'encoder'))
    const page = await openHarness()
    await open(page)
    const texts = textsOf(NUM_TEXTS)
    const difference = await page.evaluate(compare, texts)
    if (!(difference < 1e-4)) throw new Error(`the two disagree by ${difference}`)
    log(`Both give the same vectors, within ${difference.toExponential(1)}.`)
    log('The queue learns what batches cost.')
    for (let time = 0; time < LEARNING; time++) await page.evaluate(oursTogether, texts)
    const ms = await interleave(
      {
        together: () => page.evaluate(oursTogether, texts),
        alone: () => page.evaluate(oursAlone, texts),
        theirsTogether: () => page.evaluate(theirsTogether, texts),
        theirsAlone: () => page.evaluate(theirsAlone, texts),
      },
      ROUNDS,
    )
    const batches = await page.evaluate(async () => (await window.client.stats('encoder')).oneShot?.batches)
    log(`Runs by rows: ${JSON.stringify(batches)}`)
    const figure = (name: string, value: number, ...[against, other]: [string, number] | []): Figure => ({
      suite: 'tasks',
      case: `64 texts, ${name}`,
      metric: 'embeddings',
      value,
      unit: 'ms',
      ...(against === undefined || other === undefined ? {} : { against, ratio: other / value }),
    })
    return [
      figure('one after the other', ms.alone),
      figure('at once', ms.together, 'one after the other', ms.alone),
      figure('at once', ms.together, 'transformers.js, one batch', ms.theirsTogether),
      figure('one after the other', ms.alone, 'transformers.js, one by one', ms.theirsAlone),
      figure('transformers.js, one batch', ms.theirsTogether),
      figure('transformers.js, one by one', ms.theirsAlone),
    ]
  },
}

async function writeEncoder(out: string): Promise<void> {
  const { json, config } = wordTokenizer(
    Array.from({ length: NUM_WORDS }, (_, index) => `w${index}`),
    128,
  )
  await writeTaskFolder(out, {
    name: 'encoder',
    handler: 'embed',
    graphs: { 'onnx/model': exportEncoder(randomEncoder(SHAPE, 3)) },
    files: {
      'tokenizer.json': json,
      'tokenizer_config.json': config,
      'config.json': JSON.stringify({ model_type: 'bert', architectures: ['BertModel'] }),
    },
  })
}

/** 3 to 30 words each. */
function textsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) =>
    Array.from({ length: 3 + ((index * 11) % 28) }, (_, at) => `w${(index * 31 + at * 7) % NUM_WORDS}`).join(
      ' ',
    ),
  )
}

async function open(page: Page): Promise<void> {
  await page.evaluate(async () => {
    const { assets } = window
    window.client = await window.createClient({ threads: 1 })
    await window.client.load('/fixtures/bench/encoder/')
    window.theirs = window.startTransformers()
    await window.theirs.open('/fixtures/bench/', 'encoder', {
      mjs: assets.mjs,
      wasm: assets.wasm,
    })
  })
}

async function compare(texts: string[]): Promise<number> {
  const ours = await window.client.embed({ model: 'encoder', input: texts })
  const theirs = await window.theirs.embed(texts)
  const differences = ours.flatMap(({ embedding }, index) =>
    [...embedding].map((value, at) => Math.abs(value - (theirs[index]?.[at] ?? Infinity))),
  )
  return Math.max(...differences)
}

async function oursTogether(texts: string[]): Promise<number> {
  const began = performance.now()
  await window.client.embed({ model: 'encoder', input: texts })
  return performance.now() - began
}

async function oursAlone(texts: string[]): Promise<number> {
  const began = performance.now()
  for (const input of texts) await window.client.embed({ model: 'encoder', input })
  return performance.now() - began
}

async function theirsTogether(texts: string[]): Promise<number> {
  const began = performance.now()
  await window.theirs.embed(texts)
  return performance.now() - began
}

async function theirsAlone(texts: string[]): Promise<number> {
  const began = performance.now()
  for (const text of texts) await window.theirs.embed([text])
  return performance.now() - began
}

declare global {
  interface Window {
    theirs: ReturnType<Window['startTransformers']>
  }
}

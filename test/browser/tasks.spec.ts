import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gunzipSync } from 'node:zlib'
import {
  ENCODER,
  ENCODER_SEED,
  SPEECH,
  SPEECH_FRAME,
  WHISPER_PROMPTS,
  WHISPER_SAMPLES,
  WORDS,
} from '../tasks/fixtures.ts'
import { logMel } from '../tasks/log-mel.ts'
import { randomEncoder } from '../tasks/encoder-spec.ts'
import { referenceEncoder } from '../tasks/reference-encoder.ts'
import { referenceAnswer } from '../tasks/reference-speech.ts'
import { readWave } from '../tasks/wave.ts'
import { NO_SHARED, SHARED, expect, hasShared, load, test } from './fixtures.ts'

const folder = (name: string) => `/fixtures/tasks/${name}/`

function referenceEmbedding(text: string): number[] {
  const ids = [2, ...text.split(' ').map((word) => WORDS.indexOf(word) + 4), 3]
  const rows = referenceEncoder(randomEncoder(ENCODER, ENCODER_SEED), ids)
  const mean = (rows[0] ?? []).map(
    (_, at) => rows.reduce((sum, row) => sum + (row[at] ?? 0), 0) / rows.length,
  )
  return mean.map((value) => value / Math.hypot(...mean))
}

test('64 texts of different lengths at once go together and give what a float64 reference gives each', async ({
  page,
}) => {
  await load(page, folder('embedder'))
  const texts = Array.from({ length: 64 }, (_, index) =>
    Array.from({ length: 1 + ((index * 7) % 40) }, (_, at) => WORDS[(index + at * 3) % 9]).join(' '),
  )
  const found = await page.evaluate(async (input) => {
    const vectors = await window.client.embed({ model: 'embedder', input })
    const { oneShot } = await window.client.stats('embedder')
    const more = await window.client.embed({ model: 'embedder', input: input[3] ?? '', dimensions: 8 })
    return {
      vectors: vectors.map(({ embedding }) => [...embedding]),
      batches: oneShot?.batches,
      few: [...more.embedding],
    }
  }, texts)
  for (const index of [0, 3, 20, 63]) {
    const wanted = referenceEmbedding(texts[index] ?? '')
    for (const [at, value] of wanted.entries()) expect(found.vectors[index]?.[at]).toBeCloseTo(value, 4)
  }
  expect(found.few).toHaveLength(8)
  expect(Math.hypot(...found.few)).toBeCloseTo(1, 5)
  // Some runs were of many rows, and all runs together are far fewer than texts.
  const runs = Object.entries(found.batches ?? {}).map(([rows, { count }]) => ({ rows: Number(rows), count }))
  expect(Math.max(...runs.map(({ rows }) => rows))).toBeGreaterThanOrEqual(4)
  expect(runs.reduce((sum, { count }) => sum + count, 0)).toBeLessThan(40)
})

test('an item that cannot be read fails alone; texts are classified and documents reranked', async ({
  page,
}) => {
  await load(page, folder('classifier'))
  const found = await page.evaluate(async () => {
    const { client } = window
    await client.load('/fixtures/tasks/reranker/')
    const several = await Promise.allSettled(
      ['the cat', 5 as unknown as string, 'a mat'].map((input) =>
        client.classify({ model: 'classifier', input, topK: 'all' }),
      ),
    )
    const ranked = await client.rerank({
      model: 'reranker',
      query: 'cat',
      documents: ['the cat', 'far', 'a mat on the mat'],
      topN: 2,
    })
    return { states: several.map(({ status }) => status), first: several[0], ranked }
  })
  expect(found.states).toEqual(['fulfilled', 'rejected', 'fulfilled'])
  expect(found.first).toMatchObject({ value: [{ label: expect.stringMatching(/good|bad/) }, {}] })
  expect(found.ranked).toHaveLength(2)
  expect(found.ranked[0]?.score).toBeGreaterThan(found.ranked[1]?.score ?? 1)
})

test('speech to text in the browser says what a float64 reference says', async ({ page }) => {
  await load(page, folder('hearer'))
  const audio = Array.from({ length: 12 * SPEECH_FRAME }, (_, at) => Math.sin(at * at * 0.001))
  const { tokens } = await page.evaluate(
    (audio) => window.client.transcribe({ model: 'hearer', input: Float32Array.from(audio) }),
    audio,
  )
  expect(tokens).toEqual(referenceAnswer(SPEECH, Float32Array.from(audio), [2], 13, 3))
})

test('a Whisper hears the mel spectrogram that a float64 reference hears, in pieces, in the language that is asked for', async ({
  page,
}) => {
  await load(page, folder('whisper'))
  const numSamples = 1.5 * WHISPER_SAMPLES
  // A tone that rises, and beats: loud and soft places, and half a piece of silence at the end.
  const audio = Array.from(
    { length: numSamples },
    (_, at) => 0.3 * Math.sin(at * (0.05 + at * 1e-4)) * Math.sin(at * 2e-3) ** 2,
  )
  const found = await page.evaluate(async (audio) => {
    const input = Float32Array.from(audio)
    const hear = (language?: string) =>
      window.client.transcribe({
        model: 'whisper',
        input,
        maxTokens: 6,
        ...(language === undefined ? {} : { language }),
      })
    return { en: (await hear()).tokens, de: (await hear('de')).tokens }
  }, audio)
  const samples = Float32Array.from(audio)
  const pieces = [samples.slice(0, WHISPER_SAMPLES), samples.slice(WHISPER_SAMPLES)]
  const features = pieces.map((piece) => logMel(piece, WHISPER_SAMPLES))
  const wanted = (prompt: readonly number[]) =>
    features.map((heard) => referenceAnswer(SPEECH, heard, prompt, 6, 3))
  const [english, german] = [wanted(WHISPER_PROMPTS.en), wanted(WHISPER_PROMPTS.de)]
  // What is heard and what is asked for decide what is said, or this test would see nothing.
  expect(english[0]).not.toEqual(english[1])
  expect(english).not.toEqual(german)
  expect(found).toEqual({ en: english.flat(), de: german.flat() })
})

test('the openai package and the AI SDK get the same embeddings, as numbers and in base64, by text and by tokens', async ({
  doorsPage,
}) => {
  const found = await doorsPage.evaluate(async () => {
    const { client } = window
    await client.load('/fixtures/tasks/embedder/')
    const sdk = new window.doors.OpenAI({
      apiKey: 'none',
      baseURL: 'https://tabserve.local/v1',
      fetch: client.fetch,
      dangerouslyAllowBrowser: true,
      maxRetries: 0,
    })
    const input = ['the cat', 'a mat is far']
    const native = (await client.embed({ model: 'embedder', input })).map(({ embedding }) => [...embedding])
    // The package asks for base64 and decodes it.
    const decoded = await sdk.embeddings.create({ model: 'embedder', input })
    const float = await sdk.embeddings.create({
      model: 'embedder',
      input,
      encoding_format: 'float',
      dimensions: 4,
    })
    const tokens = await sdk.embeddings.create({ model: 'embedder', input: [[2, 4, 5, 3]] })
    const raw = await client.embeddings.create({
      model: 'embedder',
      input: 'the cat',
      encoding_format: 'base64',
    })
    const { embedding, usage } = await window.doors.embed({
      model: window.doors.createTabserve(client).embeddingModel('embedder'),
      value: 'the cat',
    })
    const refused = await sdk.embeddings.create({ model: 'embedder', input: [] }).then(
      () => 'taken',
      (error: { status?: number }) => error.status,
    )
    return { native, decoded, float, tokens, raw, embedding, usage, refused }
  })
  const { native, decoded } = found
  expect(decoded.data.map(({ embedding }) => [...embedding])).toEqual(native)
  expect(decoded).toMatchObject({
    object: 'list',
    model: 'embedder',
    usage: { prompt_tokens: 10, total_tokens: 10 },
  })
  const short = native[1]?.slice(0, 4) ?? []
  for (const [at, value] of short.entries())
    expect(found.float.data[1]?.embedding[at]).toBeCloseTo(value / Math.hypot(...short), 5)
  expect([...(found.tokens.data[0]?.embedding ?? [])]).toEqual(native[0])
  const bytes = Buffer.from(found.raw.data[0]?.embedding as string, 'base64')
  expect([...new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4)]).toEqual(native[0])
  expect(found.embedding).toEqual(native[0])
  expect(found.usage).toEqual({ tokens: 4 })
  expect(found.refused).toBe(400)
})

test.describe('real models', () => {
  test.skip(!hasShared, NO_SHARED)

  test('nnsplit finds the sentences, with and without dots, and loses no character', async ({ page }) => {
    await load(page, folder('splitter'))
    const long =
      'The cat sat on the mat. It was happy, and it slept until the evening came. Nobody knows what it dreamed of. '.repeat(
        8,
      )
    const [short, many] = await page.evaluate(
      (long) =>
        Promise.all(
          ['This is a test This is another test.', long].map((input) =>
            window.client.split({ model: 'splitter', input }),
          ),
        ),
      long,
    )
    expect(short).toEqual(['This is a test ', 'This is another test.'])
    expect(many).toHaveLength(24)
    expect(many?.join('')).toBe(long)
  })

  test('ultraface finds the faces of a photograph, where they are', async ({ page }) => {
    await load(page, folder('faces'))
    const photo = readFileSync(join(SHARED, 'media/faces.jpg')).toString('base64')
    const found = await page.evaluate(async (photo) => {
      const picture = await (await fetch(`data:image/jpeg;base64,${photo}`)).blob()
      const { width, height } = await createImageBitmap(picture)
      const engines = performance
        .getEntriesByType('resource')
        .filter(({ name }) => /jsdelivr|huggingface/.test(name))
      return {
        width,
        height,
        faces: await window.client.detect({ model: 'faces', input: picture }),
        foreign: engines.length,
      }
    }, photo)
    expect(found.faces).toHaveLength(6)
    // Inside the six faces, as a person sees them.
    for (const [x, y] of [
      [275, 95],
      [510, 240],
      [617, 120],
      [126, 80],
      [100, 320],
      [295, 285],
    ] as const)
      expect(
        found.faces.filter(({ box }) => box.left < x && x < box.right && box.top < y && y < box.bottom),
      ).toHaveLength(1)
    expect(found.foreign).toBe(0)
    for (const { label, score, box } of found.faces) {
      expect(label).toBe('face')
      expect(score).toBeGreaterThan(0.7)
      expect(box.right - box.left).toBeGreaterThan(5)
      expect(box.right).toBeLessThanOrEqual(found.width)
    }
  })

  test('MNIST reads handwritten digits', async ({ page }) => {
    await load(page, folder('digits'))
    const numDigits = 200
    const images = gunzipSync(readFileSync(join(SHARED, 'evals/mnist-t10k-images-idx3-ubyte.gz'))).subarray(
      16,
      16 + 784 * numDigits,
    )
    const labels = gunzipSync(readFileSync(join(SHARED, 'evals/mnist-t10k-labels-idx1-ubyte.gz'))).subarray(
      8,
      8 + numDigits,
    )
    const read = await page.evaluate(
      async ({ base64, count }) => {
        const bytes = Uint8Array.from(atob(base64), (letter) => letter.charCodeAt(0))
        const input = Array.from({ length: count }, (_, at) => ({
          data: bytes.slice(at * 784, (at + 1) * 784),
          width: 28,
          height: 28,
        }))
        return (await window.client.classifyImage({ model: 'digits', input })).map(([best]) =>
          Number(best?.label),
        )
      },
      { base64: images.toString('base64'), count: numDigits },
    )
    const right = read.filter((digit, at) => digit === labels[at]).length
    expect(right / numDigits).toBeGreaterThanOrEqual(0.98)
  })

  test('Silero hears where somebody speaks, in the chunks of a stream too', async ({ page }) => {
    await load(page, folder('voice'))
    const samples = [...readWave(readFileSync(join(SHARED, 'media/jfk.wav'))).slice(0, 3 * 16_000)]
    const found = await page.evaluate(async (samples) => {
      const audio = Float32Array.from(samples)
      const whole = await window.client.detectVoice({ model: 'voice', input: audio })
      const heard: number[] = []
      for (let from = 0; from < audio.length; from += 16_000) {
        const chunk = {
          samples: audio.slice(from, from + 16_000),
          stream: 'a',
          end: from + 16_000 >= audio.length,
        }
        heard.push(...(await window.client.detectVoice({ model: 'voice', input: chunk })).probabilities)
      }
      return {
        segments: whole.segments,
        same: heard.every((each, at) => each === whole.probabilities[at]),
        count: heard.length,
      }
    }, samples)
    expect(found.segments[0]).toMatchObject({ start: 5632, end: 35_840 })
    expect(found).toMatchObject({ same: true, count: 94 })
  })
})

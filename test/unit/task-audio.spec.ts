import { existsSync, readFileSync } from 'node:fs'
import { expect, test } from 'playwright/test'
import { SHARED_ABSENT, shared } from '../../packages/convert/test/shared.ts'
import { SpeechSegments } from '../../packages/runtime/src/handlers/audio/speech-segments.ts'
import { transcribe } from '../../packages/runtime/src/handlers/audio/transcribe.ts'
import { voiceActivity } from '../../packages/runtime/src/handlers/audio/voice-activity.ts'
import { exportSpeechDecoder, exportSpeechEncoder } from '../tasks/export-speech.ts'
import { mergeDecoders } from '../tasks/merge-decoders.ts'
import { NodeModel } from '../tasks/node-model.ts'
import { referenceAnswer, referenceSpeech } from '../tasks/reference-speech.ts'
import { randomSpeech } from '../tasks/speech-spec.ts'
import { readWave } from '../tasks/wave.ts'
import { wordTokenizer } from '../tasks/word-tokenizer.ts'

const FRAME = 80
const SPEC = randomSpeech(11, FRAME)
const WORDS = Array.from({ length: SPEC.vocabSize - 4 }, (_, index) => `word${index}`)
const AUDIO = Float32Array.from({ length: 12 * FRAME }, (_, at) => Math.sin(at * at * 0.001))
const START = 2

const [FIRST, NEXT] = [exportSpeechDecoder(SPEC, 'first'), exportSpeechDecoder(SPEC, 'next')]

function openSpeech(
  options: object = {},
  decoders: Readonly<Record<string, Uint8Array>> = { decoder: FIRST, decoder_with_past: NEXT },
) {
  const { json, config } = wordTokenizer(WORDS)
  const generation = { decoder_start_token_id: START, eos_token_id: 3, max_length: 14 }
  return NodeModel.open(
    { main: exportSpeechEncoder(SPEC), ...decoders },
    {
      'tokenizer.json': json,
      'tokenizer_config.json': config,
      'generation_config.json': JSON.stringify(generation),
    },
    { ...options },
  )
}

test('speech to text: greedy tokens are those of a float64 reference that keeps nothing', async () => {
  const node = await openSpeech()
  const handler = await transcribe(node.model)
  const { tokens, text } = await node.askPasses(handler, AUDIO)
  const wanted = referenceAnswer(SPEC, AUDIO, [START], 13, 3)
  expect(wanted.length).toBeGreaterThan(3)
  expect(tokens).toEqual(wanted)
  expect(text).toBe(
    wanted
      .filter((token) => token > 3)
      .map((token) => WORDS[token - 4])
      .join(' '),
  )
  // The encoder once, the prompt once, and then token by token.
  const steps = Math.min(12, wanted.length)
  expect(node.passes).toEqual(['main', 'decoder', ...Array<string>(steps).fill('decoder_with_past')])
})

test('speech to text: a decoder whose two passes are merged behind a branch says what the two say', async () => {
  const [apart, merged] = [await openSpeech(), await openSpeech({}, { decoder: mergeDecoders(FIRST, NEXT) })]
  const wanted = await apart.askPasses(await transcribe(apart.model), AUDIO)
  const found = await merged.askPasses(await transcribe(merged.model), AUDIO)
  expect(found).toEqual(wanted)
  expect(merged.passes).toEqual(apart.passes.map((name) => name.replace('_with_past', '')))
})

test('speech to text: what is suppressed is never said, and first tokens neither', async () => {
  const free = await openSpeech()
  const [first = 0] = (await free.askPasses(await transcribe(free.model), AUDIO)).tokens
  const logits = [...referenceSpeech(SPEC, AUDIO, [START])]
  const next = logits.with(first, -Infinity).indexOf(Math.max(...logits.with(first, -Infinity)))
  const node = await openSpeech({ begin_suppress_tokens: [first] })
  const { tokens } = await node.askPasses(await transcribe(node.model), AUDIO, { maxTokens: 4 })
  expect(tokens[0]).toBe(next)
  const never = await openSpeech({ suppress_tokens: [first] })
  expect((await never.askPasses(await transcribe(never.model), AUDIO)).tokens).not.toContain(first)
})

test('speech to text: a longer recording is heard in pieces', async () => {
  const node = await openSpeech({ chunkSeconds: (6 * FRAME) / 16_000 })
  const { tokens } = await node.askPasses(await transcribe(node.model), AUDIO, { maxTokens: 3 })
  const halves = [AUDIO.slice(0, 6 * FRAME), AUDIO.slice(6 * FRAME)]
  expect(tokens).toEqual(halves.flatMap((half) => referenceAnswer(SPEC, half, [START], 3, 3)))
})

test('a language of a model that knows one is refused', async () => {
  const node = await openSpeech()
  await expect(node.askPasses(await transcribe(node.model), AUDIO, { language: 'de' })).rejects.toMatchObject(
    { code: 'bad_request', param: 'language' },
  )
})

test('stretches of speech bridge short silences, and short noises are none', () => {
  const segments = new SpeechSegments({ threshold: 0.5, minSilence: 3, minSpeech: 3 })
  const found = [0.1, 0.9, 0.9, 0.1, 0.9, 0.4, 0.4, 0.1, 0.1, 0.1, 0.9, 0.1, 0.1, 0.1, 0.9].map(
    (probability) => segments.push(probability, 1),
  )
  // 0.4 is doubtful: it ends nothing.
  expect(found.filter((each) => each !== undefined)).toEqual([{ start: 1, end: 7 }])
  expect(segments.open).toBeUndefined()
  for (const probability of [0.9, 0.9]) segments.push(probability, 1)
  expect(segments.open).toEqual({ start: 14 })
  expect(segments.finish()).toEqual({ start: 14, end: 17 })
})

test('Silero finds the speech, and two streams by turns, in chunks of any length, hear what one recording hears', async () => {
  const [file, recording] = [shared('models/onnx/silero_vad_16k_op15.onnx'), shared('media/jfk.wav')]
  test.skip(!existsSync(file), SHARED_ABSENT)
  const samples = readWave(readFileSync(recording)).slice(0, 2.5 * 16_000)
  const node = await NodeModel.open({ main: readFileSync(file) })
  const handler = await voiceActivity(node.model)
  const whole = await node.askPasses(handler, samples)
  expect(whole.segments[0]).toMatchObject({ start: 5632, end: 35_840 })
  const other = samples.slice().reverse()
  const wholeOther = await node.askPasses(handler, other)
  const heard: Record<string, number[]> = { a: [], b: [] }
  for (let from = 0; from < samples.length; from += 7000)
    for (const [stream, audio] of [
      ['a', samples],
      ['b', other],
    ] as const) {
      const chunk = { samples: audio.slice(from, from + 7000), stream, end: from + 7000 >= audio.length }
      heard[stream]?.push(...(await node.askPasses(handler, chunk)).probabilities)
    }
  expect(heard['a']).toEqual([...whole.probabilities])
  expect(heard['b']).toEqual([...wholeOther.probabilities])
})

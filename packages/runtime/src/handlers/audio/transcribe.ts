import type { TensorValue, Tensors, Transcript } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { readTokenizer } from '../../tasks/read-tokenizer.ts'
import type { MultiPass, MultiPassContext } from '../handler.ts'
import { Parameters } from '../parameters.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput, integers } from '../tensors.ts'
import { audioInput, checkedSamples } from './audio-input.ts'
import { DecoderCache } from './decoder-cache.ts'
import type { GenerationRules } from './generation-rules.ts'
import { readGenerationRules } from './generation-rules.ts'

/**
 * Speech to text by an encoder (the manifest's graph) and a decoder (`graphs.decoder`) as optimum exports Whisper and Moonshine: merged, with
 * `use_cache_branch`, or in two, the second `graphs.decoder_with_past`. Greedy. Longer audio is heard in pieces of `options.chunkSeconds`; default
 * `chunk_length` of `preprocessor_config.json`, which cuts off what is longer, else 30.
 */
export async function transcribe(model: TaskModel): Promise<MultiPass<Float32Array, Transcript>> {
  const { tokenizer: spec } = model.manifest
  if (spec === undefined)
    throw new EngineError('bad_model', 'Speech recognition needs a tokenizer in the manifest.')
  const tokenizer = await readTokenizer(model.files, spec)
  const rules = await readGenerationRules(model)
  const decoder = await Decoder.read(model)
  const read = await audioInput(
    model,
    (await model.graph('main')).inputs.map(({ name }) => name),
  )
  const { chunk_length: chunkLength = 30 } = await model.json('preprocessor_config.json')
  const chunk = RATE * Number(model.options['chunkSeconds'] ?? chunkLength)
  return {
    async run(input, context) {
      const samples = checkedSamples(input)
      const given = new Parameters(context.parameters, model.options, ['maxTokens', 'language'])
      const prompt = rules.prompt(given.has('language') ? given.text('language', '') : undefined)
      const most = Math.min(rules.maxLength - prompt.length, given.count('maxTokens', Infinity))
      const tokens: number[] = []
      const texts: string[] = []
      for (let from = 0; from < samples.length; from += chunk) {
        const encoded = await context.run('main', await read(samples.slice(from, from + chunk)))
        const said = await decoder.answer(encoded, prompt, rules, most, context)
        tokens.push(...said)
        texts.push(tokenizer.decode(said).trim())
      }
      return { text: texts.filter((text) => text !== '').join(' '), tokens }
    },
  }
}

const RATE = 16_000

/** Writes an answer token by token; keys and values of what was said stay in a cache. */
class Decoder {
  readonly #hasBranches: boolean
  readonly #second: string
  readonly #emptyCache: () => DecoderCache
  readonly #inputs: Readonly<Record<string, ReadonlySet<string>>>

  static async read(model: TaskModel): Promise<Decoder> {
    const first = await model.graph('decoder')
    const second = model.hasGraph('decoder_with_past') ? 'decoder_with_past' : 'decoder'
    const namesOf = async (name: string) =>
      new Set((await model.graph(name)).inputs.map((input) => input.name))
    const inputs = { decoder: await namesOf('decoder'), [second]: await namesOf(second) }
    return new Decoder(inputs, second, () => DecoderCache.empty(first))
  }

  private constructor(
    inputs: Readonly<Record<string, ReadonlySet<string>>>,
    second: string,
    emptyCache: () => DecoderCache,
  ) {
    this.#inputs = inputs
    this.#hasBranches = inputs['decoder']?.has('use_cache_branch') === true
    this.#second = second
    this.#emptyCache = emptyCache
  }

  async answer(
    encoded: Tensors,
    prompt: readonly number[],
    rules: GenerationRules,
    most: number,
    context: MultiPassContext,
  ): Promise<number[]> {
    const cache = this.#emptyCache()
    const hidden = encoded['last_hidden_state'] ?? Object.values(encoded)[0]
    const said: number[] = []
    for (let next: readonly number[] = prompt; said.length < most; next = said.slice(-1)) {
      context.signal.throwIfAborted()
      const isFirst = said.length === 0
      const outputs = await this.#pass(cache, hidden, next, isFirst, context)
      const token = greedy(floatOutput(outputs, 'logits'), rules, isFirst)
      if (rules.eosTokenIds.has(token)) break
      said.push(token)
      cache.keep(outputs, isFirst)
    }
    return said
  }

  #pass(
    cache: DecoderCache,
    hidden: TensorValue | undefined,
    tokens: readonly number[],
    isFirst: boolean,
    context: MultiPassContext,
  ): Promise<Tensors> {
    const session = isFirst ? 'decoder' : this.#second
    const wanted = this.#inputs[session]
    const feeds = {
      ...cache.feeds,
      input_ids: integers([1, tokens.length], tokens),
      ...(hidden === undefined ? {} : { encoder_hidden_states: hidden }),
      ...(this.#hasBranches ? { use_cache_branch: flag(!isFirst) } : {}),
    }
    return context.run(
      session,
      Object.fromEntries(Object.entries(feeds).filter(([name]) => wanted?.has(name))),
    )
  }
}

function flag(value: boolean): TensorValue {
  return { datatype: 'BOOL', shape: [1], data: Uint8Array.of(value ? 1 : 0) }
}

/** The likeliest token of the last position that may be said. */
function greedy(
  { shape, data }: { readonly shape: readonly number[]; readonly data: Float32Array },
  rules: GenerationRules,
  isFirst: boolean,
): number {
  const width = shape.at(-1) ?? 0
  const logits = data.subarray(data.length - width)
  let best = -1
  for (const [token, logit] of logits.entries()) {
    if (rules.suppressed.has(token) || (isFirst && rules.suppressedFirst.has(token))) continue
    if (best < 0 || logit > (logits[best] ?? -Infinity)) best = token
  }
  return best
}

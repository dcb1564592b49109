import type { Tensors } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { EncodedText, Tokenizer } from '../../tokenizer.ts'
import { readTokenizer } from '../../tasks/read-tokenizer.ts'
import type { TaskModel } from '../task-model.ts'
import { integers } from '../tensors.ts'
import { truncatePair, truncateText } from './truncate.ts'

/** Texts as the inputs of an encoder: ids, mask and types in the 64-bit integers that exporters write, as far as the graph wants them. */
export class EncoderInput {
  readonly tokenizer: Tokenizer
  readonly maxLength: number
  readonly #padId: number
  readonly #names: ReadonlySet<string>

  /** Throws `bad_model` where the model has no tokenizer, or its graph wants what nobody can feed. */
  static async read(model: TaskModel): Promise<EncoderInput> {
    const { tokenizer: spec } = model.manifest
    if (spec === undefined)
      throw new EngineError('bad_model', `The task ${model.manifest.task} needs a tokenizer in the manifest.`)
    const tokenizer = await readTokenizer(model.files, spec)
    const [config, settings] = [await model.json('config.json'), await model.json(spec.config)]
    const names = await model.inputNames()
    const strange = names.find((name) => !KNOWN.includes(name))
    if (strange !== undefined || !names.includes('input_ids'))
      throw new EngineError(
        'bad_model',
        `A text encoder takes ${KNOWN.join(', ')}; this one ${names.join(', ')}.`,
      )
    return new EncoderInput(
      tokenizer,
      new Set(names),
      maxLengthOf(model.options, config, settings),
      padIdOf(tokenizer, config, settings),
    )
  }

  private constructor(tokenizer: Tokenizer, names: ReadonlySet<string>, maxLength: number, padId: number) {
    this.tokenizer = tokenizer
    this.maxLength = maxLength
    this.#padId = padId
    this.#names = names
  }

  /** A text, and maybe a second one behind it, cut to what the model can read. */
  encode(text: string, pair?: string): EncodedText {
    const encoded = this.tokenizer.encodeForEncoder(text, pair)
    if (encoded.ids.length <= this.maxLength) return encoded
    const plain = this.tokenizer.encodePlain(text)
    if (pair === undefined) return truncateText(encoded, plain, this.maxLength)
    return truncatePair(encoded, plain, this.tokenizer.encodePlain(pair), this.maxLength)
  }

  /** Rows of one length, the longest one's. */
  tensors(rows: readonly EncodedText[]): Tensors {
    const length = Math.max(...rows.map(({ ids }) => ids.length))
    const shape = [rows.length, length]
    const padded = (values: readonly number[], padding: number) => [
      ...values,
      ...Array<number>(length - values.length).fill(padding),
    ]
    const all = {
      input_ids: integers(
        shape,
        rows.flatMap(({ ids }) => padded(ids, this.#padId)),
      ),
      attention_mask: integers(
        shape,
        rows.flatMap(({ ids }) =>
          padded(
            ids.map(() => 1),
            0,
          ),
        ),
      ),
      token_type_ids: integers(
        shape,
        rows.flatMap(({ types }) => padded(types, 0)),
      ),
      position_ids: integers(
        shape,
        rows.flatMap(() => Array.from({ length }, (_, index) => index)),
      ),
    }
    return Object.fromEntries(Object.entries(all).filter(([name]) => this.#names.has(name)))
  }
}

const KNOWN = ['input_ids', 'attention_mask', 'token_type_ids', 'position_ids']

type Json = Readonly<Record<string, unknown>>

/** The smallest of what the files say: `model_max_length` is an astronomic number where nobody said it. */
function maxLengthOf(options: Json, config: Json, settings: Json): number {
  const said = [options['maxLength'], settings['model_max_length'], config['max_position_embeddings']]
  return Math.min(
    DEFAULT_LENGTH,
    ...said.filter((value) => typeof value === 'number' && value > 0).map(Number),
  )
}

function padIdOf(tokenizer: Tokenizer, config: Json, settings: Json): number {
  if (typeof config['pad_token_id'] === 'number') return config['pad_token_id']
  const token = settings['pad_token']
  return (typeof token === 'string' ? tokenizer.tokenId(token) : undefined) ?? 0
}

/** What no file says. */
const DEFAULT_LENGTH = 8192

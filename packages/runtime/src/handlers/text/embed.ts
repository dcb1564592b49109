import type { EmbedInput, Embedding } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { EncodedText } from '../../tokenizer.ts'
import type { Handler } from '../handler.ts'
import { Parameters } from '../parameters.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { EncoderInput } from './encoder-input.ts'
import { clsOf, meanOf, normalized } from './pooling.ts'

/** A text to a vector. */
export async function embed(model: TaskModel): Promise<Handler<EmbedInput, Embedding>> {
  const encoder = await EncoderInput.read(model)
  const pooled = await modelPooling(model)
  return {
    preprocess(input, { parameters, item }) {
      const text = encodedOf(encoder, input)
      const read = new Parameters(parameters, { ...pooled, ...model.options }, KNOWN)
      item.set('plan', planOf(read)).set('numTokens', text.ids.length)
      return encoder.tensors([text])
    },
    postprocess(outputs, { item }) {
      const { pooling, normalize, dimensions } = item.get('plan') as Plan
      const numTokens = item.get('numTokens') as number
      const { shape, data } = floatOutput(
        outputs,
        'sentence_embedding',
        'last_hidden_state',
        'token_embeddings',
      )
      const width = shape.at(-1) ?? 0
      if (dimensions > width && dimensions !== Infinity)
        throw new EngineError('bad_request', `dimensions must be at most ${width}, the model's own.`, {
          param: 'dimensions',
        })
      // Rank 2: the graph has pooled already.
      const whole =
        shape.length === 2
          ? data.slice(0, width)
          : pooling === 'cls'
            ? clsOf(data, width)
            : meanOf(data, width, numTokens)
      const kept = whole.length > dimensions ? whole.slice(0, dimensions) : whole
      return { embedding: normalize ? normalized(kept) : kept, numTokens }
    },
  }
}

interface Plan {
  readonly pooling: 'mean' | 'cls'
  readonly normalize: boolean
  readonly dimensions: number
}

const KNOWN = ['dimensions', 'normalize', 'pooling']

function planOf(read: Parameters): Plan {
  return {
    pooling: read.oneOf('pooling', ['mean', 'cls'], 'mean'),
    normalize: read.flag('normalize', true),
    dimensions: read.has('dimensions') ? read.count('dimensions', 1) : Infinity,
  }
}

function encodedOf(encoder: EncoderInput, input: unknown): EncodedText {
  if (typeof input === 'string') {
    if (input === '')
      throw new EngineError('bad_request', 'A text to embed must not be empty.', { param: 'input' })
    return encoder.encode(input)
  }
  const isToken = (id: unknown) => Number.isInteger(id) && (id as number) >= 0
  if (!Array.isArray(input) || input.length === 0 || !input.every(isToken))
    throw new EngineError('bad_request', 'What to embed must be a text, or a list of token ids.', {
      param: 'input',
    })
  const ids = (input as number[]).slice(0, encoder.maxLength)
  return { ids, types: ids.map(() => 0) }
}

/** What sentence-transformers wrote beside the model. */
async function modelPooling(model: TaskModel): Promise<{ readonly pooling?: 'mean' | 'cls' }> {
  const config = await model.json('1_Pooling/config.json')
  if (config['pooling_mode_cls_token'] === true) return { pooling: 'cls' }
  return config['pooling_mode_mean_tokens'] === true ? { pooling: 'mean' } : {}
}

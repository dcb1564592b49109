import type { Entity } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { Tokenizer } from '../../tokenizer.ts'
import type { Handler } from '../handler.ts'
import { readLabels } from '../labels.ts'
import { Parameters } from '../parameters.ts'
import { softmax } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { EncoderInput } from './encoder-input.ts'
import type { Aggregation, ScoredToken } from './entities.ts'
import { entitiesOf } from './entities.ts'

/** A label for each token of a text, or for the runs that belong together: names, places. */
export async function tokenClassify(model: TaskModel): Promise<Handler<string, readonly Entity[]>> {
  const encoder = await EncoderInput.read(model)
  const labels = await readLabels(model)
  const { tokenizer } = encoder
  const continues = continuation(tokenizer)
  return {
    preprocess(input, { parameters, item }) {
      if (typeof input !== 'string')
        throw new EngineError('bad_request', 'Token classification takes a text.', { param: 'input' })
      const read = new Parameters(parameters, model.options, ['aggregation'])
      const encoded = encoder.encode(input)
      item
        .set('text', input)
        .set('ids', encoded.ids)
        .set(
          'aggregation',
          read.oneOf('aggregation', ['none', 'simple', 'first', 'average', 'max'], 'simple'),
        )
      return encoder.tensors([encoded])
    },
    postprocess(outputs, { item }) {
      const ids = item.get('ids') as readonly number[]
      const { shape, data } = floatOutput(outputs, 'logits')
      const width = shape.at(-1) ?? 0
      const tokens: ScoredToken[] = []
      for (const [at, id] of ids.entries()) {
        if (tokenizer.decode([id]) === '') continue // special
        const scores = softmax(data.subarray(at * width, (at + 1) * width))
        tokens.push({ id, isContinuation: continues(tokenizer.rawToken(id), tokens.length === 0), scores })
      }
      return entitiesOf(
        tokens,
        labels,
        item.get('aggregation') as Aggregation,
        (run) => tokenizer.decode(run),
        item.get('text') as string,
      )
    },
  }
}

/** Whether a token goes on within a word: WordPiece marks those, SentencePiece and byte-level BPE mark the others. */
function continuation(tokenizer: Tokenizer): (token: string, isFirst: boolean) => boolean {
  const marksBeginnings = tokenizer.encodePlain('a b').some((id) => /^[▁Ġ]/.test(tokenizer.rawToken(id)))
  return (token, isFirst) => !isFirst && (marksBeginnings ? !/^[▁Ġ]/.test(token) : token.startsWith('##'))
}

import type { Ranked, RerankInput } from '@tabserve/protocol'
import { EngineError, isRecord } from '@tabserve/protocol'
import type { Handler } from '../handler.ts'
import { Parameters } from '../parameters.ts'
import { sigmoid, softmax } from '../probabilities.ts'
import type { TaskModel } from '../task-model.ts'
import { floatOutput } from '../tensors.ts'
import { isTexts } from '../texts.ts'
import { EncoderInput } from './encoder-input.ts'

/** Documents in the order in which a cross-encoder finds that they answer a query. One row a document. */
export async function rerank(model: TaskModel): Promise<Handler<RerankInput, readonly Ranked[]>> {
  const encoder = await EncoderInput.read(model)
  return {
    preprocess(input, { parameters, item }) {
      const { query, documents } = checked(input)
      const read = new Parameters(parameters, model.options, ['topN', 'activation'])
      item
        .set('count', documents.length)
        .set('topN', read.has('topN') ? read.count('topN', 1) : Infinity)
        .set('activation', read.oneOf('activation', ['sigmoid', 'none'], 'sigmoid'))
      return encoder.tensors(documents.map((document) => encoder.encode(query, document)))
    },
    postprocess(outputs, { item }) {
      const count = item.get('count') as number
      const { data } = floatOutput(outputs, 'logits')
      const width = data.length / count
      const isRaw = item.get('activation') === 'none'
      return Array.from({ length: count }, (_, index) => {
        const logits = data.subarray(index * width, (index + 1) * width)
        return { index, score: scoreOf(logits, isRaw) }
      })
        .toSorted((a, b) => b.score - a.score)
        .slice(0, item.get('topN') as number)
    },
  }
}

/** One logit says how well; of several the last is the class "relevant". */
function scoreOf(logits: Float32Array, isRaw: boolean): number {
  const last = logits.at(-1) ?? 0
  if (isRaw) return last
  return logits.length === 1 ? sigmoid(last) : (softmax(logits).at(-1) ?? 0)
}

function checked(input: unknown): RerankInput {
  if (isRecord(input)) {
    const { query, documents } = input
    if (typeof query === 'string' && isTexts(documents)) return { query, documents }
  }
  throw new EngineError('bad_request', 'Reranking takes { query, documents }, with at least one document.', {
    param: 'input',
  })
}

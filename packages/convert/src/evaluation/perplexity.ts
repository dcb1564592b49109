import { ConvertError } from '../convert-error.ts'
import { DecoderSession } from './decoder-session.ts'

export interface Perplexity {
  /** Tokens that were guessed, each from those before it in its window. */
  readonly numTokens: number
  readonly value: number
}

/** How well a model folder's graph guesses each token of a text from those before it, in windows that begin anew. */
export async function measurePerplexity(folder: string, tokens: readonly number[]): Promise<Perplexity> {
  const session = await DecoderSession.open(folder)
  try {
    const { contextLength, vocabSize } = session.graph
    const window = Math.min(WINDOW, contextLength)
    const outside = tokens.find((token) => token >= vocabSize)
    if (outside !== undefined)
      throw new ConvertError(`the text has the token ${outside}, and the model only ${vocabSize} tokens`)
    let loss = 0
    let numTokens = 0
    for (let begin = 0; begin + 1 < tokens.length; begin += window) {
      const slice = tokens.slice(begin, begin + window)
      loss += await windowLoss(session, slice)
      numTokens += slice.length - 1
    }
    if (numTokens === 0) throw new ConvertError('the text is too short: perplexity needs two tokens')
    return { numTokens, value: Math.exp(loss / numTokens) }
  } finally {
    await session.dispose()
  }
}

/** −log of the probability of every token but the first, added up. */
async function windowLoss(session: DecoderSession, tokens: readonly number[]): Promise<number> {
  session.reset(1, tokens.length)
  let loss = 0
  for (let begin = 0; begin < tokens.length - 1; begin += CHUNK) {
    const chunk = tokens.slice(begin, Math.min(begin + CHUNK, tokens.length - 1))
    const rows = await session.run([chunk], [begin], [...chunk.keys()])
    rows.forEach((logits, row) => (loss += logSum(logits) - logits[tokens[begin + row + 1]!]!))
  }
  return loss
}

function logSum(logits: Float32Array): number {
  let largest = -Infinity
  for (const logit of logits) if (logit > largest) largest = logit
  let sum = 0
  for (const logit of logits) sum += Math.exp(logit - largest)
  return largest + Math.log(sum)
}

const WINDOW = 512
/** Logits of so many tokens are held at once. */
const CHUNK = 64

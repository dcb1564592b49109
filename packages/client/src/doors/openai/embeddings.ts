import type { Embedding as Vector, EmbedInput } from '@tabserve/protocol'
import type { ServedClient } from '../served-client.ts'
import type { CallOptions } from './chat-completions.ts'
import type { CreateEmbeddingResponse, EmbeddingParams } from './embedding-shapes.ts'
import type { FieldRules, Fields } from './fields.ts'
import { readFields, textField, wrong } from './fields.ts'

const RULES: FieldRules = {
  model: 'used',
  input: 'used',
  dimensions: 'used',
  encoding_format: 'used',
  user: 'ignored',
}

/** OpenAI's `embeddings`, of models with the handler `embed`. Rejects with `EngineError`. */
export class Embeddings {
  readonly #client: Pick<ServedClient, 'embed'>

  constructor(client: Pick<ServedClient, 'embed'>) {
    this.#client = client
  }

  async create(params: EmbeddingParams, { signal }: CallOptions = {}): Promise<CreateEmbeddingResponse> {
    const fields = readFields(params, RULES, 'embeddings')
    const model = textField(fields, 'model')
    const write = writerOf(fields)
    const { dimensions } = fields
    const vectors = await this.#client.embed({
      model,
      input: inputsOf(fields),
      ...(dimensions === undefined ? {} : { dimensions: dimensions as number }), // the handler checks it
      ...(signal == null ? {} : { signal }),
    })
    const tokens = vectors.reduce((sum, { numTokens }) => sum + numTokens, 0)
    return {
      object: 'list',
      data: vectors.map((vector, index) => ({ object: 'embedding', index, embedding: write(vector) })),
      model,
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    }
  }
}

function writerOf({ encoding_format: format = 'float' }: Fields): (vector: Vector) => number[] | string {
  if (format === 'float') return ({ embedding }) => [...embedding]
  if (format === 'base64') return ({ embedding }) => base64(embedding)
  throw wrong('encoding_format', 'must be float or base64.')
}

/** The bytes of the numbers, as OpenAI sends them: little-endian, as every browser's arrays are. */
function base64({ buffer, byteOffset, byteLength }: Float32Array): string {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength)
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** Throws `bad_request`. */
function inputsOf({ input }: Fields): readonly EmbedInput[] {
  if (typeof input === 'string') return [input]
  if (!Array.isArray(input) || input.length === 0 || input.length > MOST_INPUTS)
    throw wrong('input', `must be a text, token ids, or a list of 1 to ${MOST_INPUTS} of them.`)
  const list: readonly unknown[] = input
  if (list.every((each) => typeof each === 'number')) return [list as number[]]
  return list.map((each, index) => {
    const isTokens = Array.isArray(each) && each.every((token) => typeof token === 'number')
    if (typeof each === 'string' || isTokens) return each as EmbedInput
    throw wrong(`input[${index}]`, 'must be a text or a list of token ids.')
  })
}

/** OpenAI's own. */
const MOST_INPUTS = 2048

import type { KvPlace, ModelRunner, Run } from '@tabserve/engine'

/** Rows side by side for which a GPU may compile anew. */
const WIDTHS = [2, 3, 4, 8, 16, 32]
/** The shortest prompt that is not an answer's next token: products of few rows have shaders of their own. */
const SHORT = 2

/**
 * One step of each shape: a chunk of a prompt, one answer, all answers. Leaves nothing in the KV that anybody would read.
 * @param compiles shapes are compiled when they first come, as on a GPU: then every width of a batch is tried, short prompts, several together, and the
 * search for the largest logits.
 */
export async function warmUp(runner: ModelRunner, compiles: boolean): Promise<void> {
  const { maxTokensPerStep, maxRows, maxContext, mixed, batchedPrefill, paged } = runner.capabilities
  const chunk = new Int32Array(Math.max(1, Math.min(maxTokensPerStep, maxContext - 1)))
  await runner.run({
    runs: [{ kv: placeOf(0, chunk.length), from: 0, tokens: chunk, wantLogits: 'none', top: 0 }],
  })
  const decode = (sequence: number): Run => ({
    kv: placeOf(sequence, chunk.length + 1),
    from: sequence === 0 ? chunk.length : 0,
    tokens: new Int32Array(1),
    wantLogits: 'last',
    top: compiles ? 1 : 0,
  })
  const most = numTogether()
  const widths = compiles ? WIDTHS.filter((width) => width < most) : []
  for (const width of new Set([1, ...widths, most]))
    await runner.run({ runs: Array.from({ length: width }, (_, sequence) => decode(sequence)) })
  if (!compiles) return
  const prompt = (sequence: number): Run => ({
    ...decode(sequence),
    kv: placeOf(sequence, SHORT),
    from: 0,
    tokens: new Int32Array(SHORT),
  })
  if (maxTokensPerStep < 2 * SHORT || maxContext <= SHORT) return
  await runner.run({ runs: [prompt(0)] })
  if (batchedPrefill && most > 1) await runner.run({ runs: [prompt(0), prompt(1)] })

  /** Nobody keeps books yet: the first sequence takes the first blocks for `length` tokens, every other one block behind them. */
  function placeOf(sequence: number, length: number): KvPlace {
    if (paged === undefined) return { row: sequence }
    const numFirst = Math.ceil(length / paged.blockTokens)
    if (sequence > 0) return { blocks: Int32Array.of(numFirst + sequence - 1) }
    return { blocks: Int32Array.from({ length: numFirst }, (_, block) => block) }
  }

  function numTogether(): number {
    const most = mixed ? Math.min(maxRows, maxTokensPerStep) : maxRows
    if (paged === undefined) return most
    return Math.min(most, 1 + paged.numBlocks - Math.ceil((chunk.length + 1) / paged.blockTokens))
  }
}

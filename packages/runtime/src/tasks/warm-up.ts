import type { KvPlace, ModelRunner, Run } from '@tabserve/engine'

/** One step of each shape: a chunk of a prompt, one answer, all answers. Leaves nothing in the KV that anybody would read. */
export async function warmUp(runner: ModelRunner): Promise<void> {
  const { maxTokensPerStep, maxRows, maxContext, mixed, paged } = runner.capabilities
  const chunk = new Int32Array(Math.max(1, Math.min(maxTokensPerStep, maxContext - 1)))
  await runner.run({
    runs: [{ kv: placeOf(0, chunk.length), from: 0, tokens: chunk, wantLogits: 'none', top: 0 }],
  })
  const decode = (sequence: number): Run => ({
    kv: placeOf(sequence, chunk.length + 1),
    from: sequence === 0 ? chunk.length : 0,
    tokens: new Int32Array(1),
    wantLogits: 'last',
    top: 0,
  })
  await runner.run({ runs: [decode(0)] })
  await runner.run({ runs: Array.from({ length: numTogether() }, (_, sequence) => decode(sequence)) })

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

import type { Capabilities, KvCopy, KvPlace, Run, Step } from '../../packages/engine/src/model-runner.ts'

/** What stands where nothing was written, or only padding: reading it is a bug. */
const GARBAGE = -1

/** The KV of a fake model: tokens. Refuses every step that a runner of its kind cannot take. */
export interface FakeMemory {
  check(step: Step): void
  /** Writes the tokens of a step's run; `width` of them where rows are padded. */
  write(run: Run, width: number): void
  /** The first `length` tokens. Throws where one was never written. */
  read(place: KvPlace, length: number): number[]
  /** What a failed pass leaves behind. */
  spoil(run: Run): void
  copy(copy: KvCopy): void
}

/** A row a sequence, under a decoder with GroupQueryAttention. */
export class RowMemory implements FakeMemory {
  readonly #capabilities: Capabilities
  readonly #rows: number[][]

  constructor(capabilities: Capabilities) {
    const { maxRows, maxContext } = capabilities
    this.#capabilities = capabilities
    this.#rows = Array.from({ length: maxRows }, () => new Array<number>(maxContext).fill(GARBAGE))
  }

  check({ runs }: Step): void {
    const { maxTokensPerStep, maxRows, maxContext, batchedPrefill } = this.#capabilities
    const width = Math.max(...runs.map(({ tokens }) => tokens.length))
    if (runs.length === 0) throw new Error('an empty step')
    if (width > 1 && runs.length * width > maxTokensPerStep) throw new Error('too many tokens')
    const rows = runs.map(({ kv }) => rowOf(kv))
    if (rows.some((row, index) => row !== rows[0]! + index)) throw new Error('rows are not neighbours')
    if (rows.some((row) => row >= maxRows)) throw new Error('no such row')
    if (runs.some(({ from, tokens }) => from + tokens.length > maxContext))
      throw new Error('behind the context')
    if (runs.length > 1 && width > 1) {
      if (!batchedPrefill || runs.some(({ from }) => from > 0))
        throw new Error('a batch of prompts with a past')
    } else if (runs.length > 1 && rows[0] !== 0) throw new Error('decode rows are not at the front')
  }

  write({ kv, from, tokens }: Run, width: number): void {
    const row = this.#row(rowOf(kv))
    tokens.forEach((token, offset) => (row[from + offset] = token))
    row.fill(GARBAGE, from + tokens.length, from + width)
  }

  read(place: KvPlace, length: number): number[] {
    const tokens = this.#row(rowOf(place)).slice(0, length)
    if (tokens.includes(GARBAGE)) throw new Error('KV was read that was never written')
    return tokens
  }

  spoil({ kv, from }: Run): void {
    this.#row(rowOf(kv)).fill(GARBAGE, from)
  }

  copy({ from, to, numTokens, swap }: KvCopy): void {
    const source = this.#row(from).slice(0, numTokens)
    const target = this.#row(to).slice(0, numTokens)
    this.#row(to).splice(0, numTokens, ...source)
    if (swap) this.#row(from).splice(0, numTokens, ...target)
  }

  #row(index: number): number[] {
    const row = this.#rows[index]
    if (row === undefined) throw new Error(`no row ${index}`)
    return row
  }
}

/** A position's KV: its token, and everything before it, which attention has mixed in. */
interface Cell {
  readonly position: number
  readonly token: number
  readonly text: number
}

/** Blocks that tables list. */
export class BlockMemory implements FakeMemory {
  readonly #capabilities: Capabilities
  readonly #blockTokens: number
  readonly #blocks: (Cell | undefined)[][]

  constructor(capabilities: Capabilities, { numBlocks, blockTokens }: NonNullable<Capabilities['paged']>) {
    this.#capabilities = capabilities
    this.#blockTokens = blockTokens
    this.#blocks = Array.from({ length: numBlocks }, () =>
      new Array<Cell | undefined>(blockTokens).fill(undefined),
    )
  }

  check({ runs }: Step): void {
    const { maxTokensPerStep, maxRows, maxContext } = this.#capabilities
    if (runs.length === 0) throw new Error('an empty step')
    if (runs.length > maxRows) throw new Error('more sequences than there may be')
    const numTokens = runs.reduce((sum, { tokens }) => sum + tokens.length, 0)
    if (numTokens > maxTokensPerStep) throw new Error('too many tokens')
    const users = new Map<number, number>()
    for (const { kv, from, tokens } of runs) {
      const blocks = tableOf(kv)
      if (tokens.length === 0) throw new Error('an empty run')
      if (from + tokens.length > maxContext) throw new Error('behind the context')
      if (blocks.length !== Math.ceil((from + tokens.length) / this.#blockTokens))
        throw new Error('a table of another length than its run')
      if (new Set(blocks).size !== blocks.length) throw new Error('a block stands twice in a table')
      for (const block of blocks) {
        this.#block(block)
        users.set(block, (users.get(block) ?? 0) + 1)
      }
    }
    for (const { kv, from } of runs)
      for (const block of tableOf(kv).subarray(Math.floor(from / this.#blockTokens)))
        if (users.get(block) !== 1) throw new Error('a block is written that another run has')
  }

  write({ kv, from, tokens }: Run): void {
    const blocks = tableOf(kv)
    let text = from === 0 ? 0 : this.#cell(blocks, from - 1).text
    tokens.forEach((token, offset) => {
      const position = from + offset
      text = mix(text, token)
      this.#block(this.#blockAt(blocks, position))[position % this.#blockTokens] = { position, token, text }
    })
  }

  read(place: KvPlace, length: number): number[] {
    const blocks = tableOf(place)
    let text = 0
    return Array.from({ length }, (_, position) => {
      const cell = this.#cell(blocks, position)
      text = mix(text, cell.token)
      if (cell.text !== text) throw new Error('KV of another text was read')
      return cell.token
    })
  }

  spoil({ kv, from, tokens }: Run): void {
    const blocks = tableOf(kv)
    for (let position = from; position < from + tokens.length; position++)
      this.#block(this.#blockAt(blocks, position))[position % this.#blockTokens] = undefined
  }

  copy({ from, to, numTokens, swap }: KvCopy): void {
    if (swap || from === to) throw new Error('blocks do not change places')
    const source = this.#block(from).slice(0, numTokens)
    if (source.length < numTokens || source.includes(undefined))
      throw new Error('KV was copied that was never written')
    this.#block(to)
      .fill(undefined)
      .splice(0, numTokens, ...source)
  }

  #cell(blocks: Int32Array, position: number): Cell {
    const cell = this.#block(this.#blockAt(blocks, position))[position % this.#blockTokens]
    if (cell === undefined) throw new Error('KV was read that was never written')
    if (cell.position !== position) throw new Error('KV of another position was read')
    return cell
  }

  #blockAt(blocks: Int32Array, position: number): number {
    return blocks[Math.floor(position / this.#blockTokens)]!
  }

  #block(id: number): (Cell | undefined)[] {
    const block = this.#blocks[id]
    if (block === undefined) throw new Error(`no block ${id}`)
    return block
  }
}

function rowOf(place: KvPlace): number {
  if ('row' in place) return place.row
  throw new Error('a block table for a runner whose KV lies in rows')
}

function tableOf(place: KvPlace): Int32Array {
  if ('blocks' in place) return place.blocks
  throw new Error('a row for a runner whose KV lies in blocks')
}

function mix(text: number, token: number): number {
  return (Math.imul(text, 1_000_003) + token + 1) >>> 0
}

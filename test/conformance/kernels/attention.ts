import type { Address, KvKind } from '@tabserve/kernels'
import { KV_KIND } from '@tabserve/kernels'
import { Random, expectEqual, expectNear } from './random.ts'
import type { Workspace } from './workspace.ts'

const LAYERS = 2
const LAYER = 1
const KV_HEADS = 2
/** Blocks a slab: tables cross from one to the next. */
const SLAB = 2

export const attentionChecks = {
  'attention over fp32 blocks equals a slow reference'(workspace: Workspace): void {
    checkKind(workspace, KV_KIND.float32, 3e-6)
  },
  'attention over fp16 blocks stays within half precision'(workspace: Workspace): void {
    checkKind(workspace, KV_KIND.float16, 2e-3)
  },
  'attention over int8 blocks stays within a part in fifty'(workspace: Workspace): void {
    checkKind(workspace, KV_KIND.int8, 2e-2)
  },
  'several tokens and heads in one call give, to the bit, what each gives alone'(workspace: Workspace): void {
    for (const kind of Object.values(KV_KIND)) {
      const setting = new Setting(workspace, {
        kind,
        headDim: 32,
        group: 4,
        window: 0,
        softcap: 0,
        length: 70,
      })
      for (const position of [0, 14, 15, 40, 68]) {
        const together = setting.attend(position, 2, 4)
        for (const token of [0, 1]) {
          const alone = setting.attend(position + token, 1, 4)
          expectEqual(`kind ${kind}`, together.subarray(token * 128, (token + 1) * 128), alone)
        }
      }
    }
  },
}

function checkKind(workspace: Workspace, kind: KvKind, tolerance: number): void {
  for (const headDim of [16, 64, 80, 128])
    for (const [group, window, softcap] of [
      [1, 0, 0],
      [3, 0, 0],
      [4, 20, 0],
      [2, 0, 5],
      [8, 17, 3],
    ] as const) {
      const setting = new Setting(workspace, { kind, headDim, group, window, softcap, length: 53 })
      for (const position of [0, 1, 15, 16, 31, 50]) {
        const tokens = group <= 4 ? 2 : 1
        const found = setting.attend(position, tokens, group)
        expectNear(
          `${JSON.stringify(setting.shape)} at ${position}`,
          found,
          setting.reference(position, tokens),
          tolerance,
        )
      }
    }
}

interface Shape {
  readonly kind: KvKind
  readonly headDim: number
  readonly group: number
  readonly window: number
  readonly softcap: number
  readonly length: number
}

/** A sequence whose KV lies in blocks out of order; whatever else the blocks hold is no number. */
class Setting {
  readonly shape: Shape
  readonly #workspace: Workspace
  readonly #cache: Address
  readonly #attention: Address
  readonly #table: Address
  readonly #keys: Float32Array
  readonly #values: Float32Array
  readonly #queries: Float32Array

  constructor(workspace: Workspace, shape: Shape) {
    const { kernels } = workspace
    const { kind, headDim, group, window, softcap, length } = shape
    this.shape = shape
    this.#workspace = workspace
    this.#cache = workspace.allocate(kernels.KV_CACHE_BYTES.value as number)
    kernels.setKvCache(this.#cache, 0, kind, LAYERS, KV_HEADS, headDim, SLAB)
    const blocks = Math.ceil(length / 16)
    const pool = workspace.put(
      new Uint8Array(kernels.blockBytes(this.#cache) * (blocks + 2 + SLAB)).fill(255),
    )
    kernels.setKvCache(this.#cache, pool, kind, LAYERS, KV_HEADS, headDim, SLAB)
    this.#attention = workspace.allocate(kernels.ATTENTION_SHAPE_BYTES.value as number)
    const stride = group * headDim
    kernels.setAttentionShape(this.#attention, group, stride, stride, window, this.#scale, softcap)
    this.#table = workspace.put(Int32Array.from({ length: blocks }, (_, i) => blocks - i))
    const random = new Random(headDim + group)
    this.#keys = random.floats(length * headDim)
    this.#values = random.floats(length * headDim)
    this.#queries = random.floats(length * stride)
    for (let position = 0; position < length; position++) this.#store(position)
  }

  get #scale(): number {
    return 1 / Math.sqrt(this.shape.headDim)
  }

  #store(position: number): void {
    const { kernels } = this.#workspace
    const { headDim, length } = this.shape
    const block = Math.ceil(length / 16) - Math.floor(position / 16)
    const keys = kernels.keysOf(this.#cache, block, LAYER, 1)
    const of = (all: Float32Array) =>
      this.#workspace.put(all.subarray(position * headDim, (position + 1) * headDim))
    kernels.storeHead(this.#cache, keys, position % 16, of(this.#keys), of(this.#values))
  }

  attend(position: number, tokens: number, heads: number): Float32Array {
    const { headDim, group } = this.shape
    const stride = group * headDim
    const query = this.#workspace.put(this.#queries.subarray(position * stride, (position + tokens) * stride))
    const out = this.#workspace.allocate(4 * tokens * stride)
    const scores = this.#workspace.put(new Float32Array(8 * 96).fill(NaN))
    const { kernels } = this.#workspace
    kernels.attend(
      this.#attention,
      this.#cache,
      LAYER,
      1,
      this.#table,
      position,
      tokens,
      heads,
      query,
      out,
      scores,
    )
    return this.#workspace.floats(out, tokens * stride).slice()
  }

  reference(position: number, tokens: number): Float64Array {
    const { headDim, group } = this.shape
    const out = new Float64Array(tokens * group * headDim)
    for (let token = 0; token < tokens; token++)
      for (let head = 0; head < group; head++) {
        const row = this.#referenceRow(position + token, head)
        out.set(row, (token * group + head) * headDim)
      }
    return out
  }

  #referenceRow(position: number, head: number): Float64Array {
    const { headDim, group, window, softcap } = this.shape
    const query = this.#queries.subarray((position * group + head) * headDim)
    const first = window > 0 ? Math.max(0, position - window + 1) : 0
    const scores: number[] = []
    for (let at = first; at <= position; at++) {
      let dot = 0
      for (let i = 0; i < headDim; i++) dot += query[i]! * this.#keys[at * headDim + i]!
      const score = dot * this.#scale
      scores.push(Math.exp(softcap > 0 ? softcap * Math.tanh(score / softcap) : score))
    }
    const sum = scores.reduce((total, score) => total + score, 0)
    const out = new Float64Array(headDim)
    scores.forEach((score, index) => {
      for (let i = 0; i < headDim; i++)
        out[i]! += (score / sum) * this.#values[(first + index) * headDim + i]!
    })
    return out
  }
}

/** An address in the kernels' memory. */
export type Address = number

/** What the wasm module exports; `assembly/` documents each function with its formula, shapes and layout. */
export interface KernelExports {
  readonly MATRIX_BYTES: WebAssembly.Global
  readonly ATTENTION_SHAPE_BYTES: WebAssembly.Global
  readonly KV_CACHE_BYTES: WebAssembly.Global
  readonly LAYER_BYTES: WebAssembly.Global
  readonly MODEL_BYTES: WebAssembly.Global
  readonly SCRATCH_BYTES: WebAssembly.Global
  readonly BATCH_BYTES: WebAssembly.Global
  readonly TEAM_BYTES: WebAssembly.Global
  readonly BLOCK_TOKENS: WebAssembly.Global
  readonly MAX_ROWS: WebAssembly.Global

  setMatrix(
    matrix: Address,
    kind: MatrixKind,
    rows: number,
    columns: number,
    values: Address,
    scales: Address,
    scaleStep: number,
    scaleFactor: number,
    bias: Address,
  ): void
  setAttentionShape(
    shape: Address,
    group: number,
    queryStride: number,
    outStride: number,
    window: number,
    scale: number,
    softcap: number,
  ): void
  setKvCache(
    cache: Address,
    base: Address,
    kind: KvKind,
    layers: number,
    kvHeads: number,
    headDim: number,
    slabBlocks: number,
  ): void
  setLayer(
    layer: Address,
    attentionNorm: Address,
    attentionPostNorm: Address,
    feedForwardNorm: Address,
    feedForwardPostNorm: Address,
    queryNorm: Address,
    keyNorm: Address,
    queryKeyValue: Address,
    output: Address,
    gate: Address,
    up: Address,
    down: Address,
    attention: Address,
    cos: Address,
    sin: Address,
  ): void
  setModel(
    model: Address,
    hiddenSize: number,
    heads: number,
    kvHeads: number,
    headDim: number,
    feedForwardSize: number,
    vocabSize: number,
    activation: Activation,
    normEpsilon: number,
    embeddingScale: number,
    logitsSoftcap: number,
    embedding: Address,
    lmHead: Address,
    finalNorm: Address,
    layers: number,
    firstLayer: Address,
    cache: Address,
    scratch: Address,
    team: Address,
  ): void
  setScratch(
    scratch: Address,
    hidden: Address,
    delta: Address,
    normed: Address,
    normedStride: number,
    activations: Address,
    queryKeyValue: Address,
    attended: Address,
    attendedStride: number,
    gate: Address,
    up: Address,
    gateStride: number,
    scores: Address,
    scoresStride: number,
  ): void
  setBatch(
    batch: Address,
    tokens: number,
    ids: Address,
    positions: Address,
    runOf: Address,
    runs: number,
    firstToken: Address,
    tables: Address,
    outputs: number,
    outputTokens: Address,
    logits: Address,
    tops: Address,
    maxTop: number,
    topIds: Address,
    topValues: Address,
  ): void

  valuesBytes(matrix: Address): number
  scalesBytes(matrix: Address): number
  packUint4(matrix: Address, from: Address, first: number, count: number): void
  packUint4Scales(matrix: Address, from: Address, first: number, count: number): void
  packInt8(matrix: Address, from: Address, first: number, count: number, parts: number): void
  packFloat32(matrix: Address, from: Address, first: number, count: number, parts: number): void
  packFloat16(matrix: Address, from: Address, first: number, count: number, parts: number): void

  activationBytes(kind: MatrixKind, columns: number): number
  prepare(kind: MatrixKind, from: Address, columns: number, to: Address): void
  product(
    matrix: Address,
    activations: Address,
    tokens: number,
    to: Address,
    toStride: number,
    first: number,
    end: number,
  ): void
  embed(table: Address, row: number, factor: number, to: Address): void
  rmsNorm(from: Address, weight: Address, size: number, epsilon: number, to: Address): void
  rotate(at: Address, size: number, cos: Address, sin: Address): void
  applyGate(activation: Activation, gate: Address, up: Address, count: number): void
  softcap(at: Address, count: number, cap: number): void
  blockBytes(cache: Address): number
  copyBlock(cache: Address, from: number, to: number): void
  keysOf(cache: Address, block: number, layer: number, head: number): Address
  storeHead(cache: Address, keys: Address, slot: number, key: Address, value: Address): void
  attend(
    shape: Address,
    cache: Address,
    layer: number,
    kvHead: number,
    table: Address,
    position: number,
    tokens: number,
    heads: number,
    query: Address,
    out: Address,
    scores: Address,
  ): void
  selectTop(logits: Address, count: number, top: number, ids: Address, values: Address): void

  readAll(from: Address, bytes: number): number

  forward(model: Address, batch: Address, threads: number): void
  serve(model: Address, batch: Address, thread: number, threads: number): void
  dismiss(model: Address, threads: number): void
}

/** The same numbers as in `assembly/matrix.ts`, `assembly/kv-cache.ts` and `assembly/gate.ts`. */
export const MATRIX_KIND = { float32: 0, float16: 1, int8: 2, uint4: 3 } as const
export const KV_KIND = { int8: 1, float16: 2, float32: 4 } as const
export const ACTIVATION = { silu: 0, 'gelu-tanh': 1 } as const

export type MatrixKind = (typeof MATRIX_KIND)[keyof typeof MATRIX_KIND]
export type KvKind = (typeof KV_KIND)[keyof typeof KV_KIND]
export type Activation = (typeof ACTIVATION)[keyof typeof ACTIVATION]

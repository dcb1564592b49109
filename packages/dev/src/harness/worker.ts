import { expose } from 'comlink'
import { KERNEL_CHECKS, Workspace } from '../../../../test/conformance/kernels/index.ts'
import { checkKvBytes } from '../../../../test/conformance/kv-bytes.ts'
import { checkChunkStore } from '../../../../test/conformance/chunk-store.ts'
import { checkWeightStore } from '../../../../test/conformance/weight-store.ts'
import type { KernelExports, KernelVariant } from '@tabserve/kernels'
import type { KvCopy, KvPlace, Logits, ModelRunner } from '@tabserve/engine'
import type { KvType, RunnerName, SamplingParams, WorkerAssets } from '@tabserve/protocol'
import type { GpuMode, GpuTraffic } from '@tabserve/runtime'
import {
  Device,
  GpuRunner,
  Http,
  ModelRepository,
  PROBE_GRAPH,
  PROBE_LOGITS,
  PROBE_OPTIONS,
  Tokenizer,
  WeightStore,
  idbChunkStore,
  memoryChunkStore,
  memoryFiles,
  opfsChunkStore,
  probeFiles,
  probeLogits,
  servesAsHelper,
} from '@tabserve/runtime'
import { RowsOverBlocks } from './rows-over-blocks.ts'
import { SamplingTimer } from './sampling-timer.ts'
import type { TimedStore } from './store-timer.ts'
import { timeStore } from './store-timer.ts'
import type { TokenGaps } from './token-gaps.ts'
import { tokenGaps } from './token-gaps.ts'

interface OpenOptions {
  readonly url: string
  readonly runner: RunnerName | 'auto'
  readonly assets: WorkerAssets
  readonly threads?: number
  readonly rows?: number
  readonly contextLength?: number
  readonly maxTokensPerStep?: number
  /** Default `float32`. */
  readonly kvType?: KvType | undefined
  readonly kvBudgetBytes?: number
  readonly gpuMode?: GpuMode
}

interface RunOptions {
  readonly kv: KvPlace
  readonly from: number
  readonly tokens: readonly number[]
  readonly wantLogits: 'none' | 'last' | 'all'
  /** Default 0: whole rows. */
  readonly top?: number
}

/** Runners and tokenizers by number; what crosses to the page is plain data. */
class Harness {
  readonly #runners: ModelRunner[] = []
  readonly #tokenizers: Tokenizer[] = []
  readonly #samplingTimers = new Map<number, SamplingTimer>()
  #device: Device | undefined

  /** Opens a model folder, past the weight store. The first call decides the threads. */
  async open({
    url,
    runner: wanted,
    assets,
    threads = 1,
    rows = 1,
    contextLength,
    maxTokensPerStep = 64,
    kvType = 'float32',
    kvBudgetBytes = 2 ** 30,
    gpuMode,
  }: OpenOptions) {
    this.#device ??= new Device({ assets, threads, lifeLock: '' })
    const options = { signal: new AbortController().signal, onProgress: () => {}, refresh: true }
    const store = new WeightStore(memoryChunkStore(), { budgetBytes: 0 })
    const repository = new ModelRepository({ store, http: new Http() })
    const { manifest, files } = await repository.open({ url }, options)
    if (manifest.task !== 'generate') throw new Error(`${url} does not generate text`)
    const { graph, tokenizer } = manifest
    const room = {
      maxRunning: rows,
      contextLength: contextLength ?? graph.contextLength,
      maxTokensPerStep,
      kvBudgetBytes,
      kvType,
    }
    const {
      runner,
      name,
      isAwaitingDevice: _,
      ...facts
    } = await this.#device.createRunner(graph, files, wanted, room, () => {}, gpuMode)
    const [json, config] = [await files.bytes(tokenizer.file), await files.bytes(tokenizer.config)]
    this.#tokenizers.push(new Tokenizer(json, config, tokenizer))
    const asked = runner.capabilities.paged === undefined ? runner : new RowsOverBlocks(runner)
    const { maxTokensPerStep: chunk } = runner.capabilities
    return { id: this.#runners.push(asked) - 1, manifest, runner: name, chunk, ...facts }
  }

  /** What the heap interface's self-test compares with, and what a runner really gives. */
  async probe(wanted: RunnerName, assets: WorkerAssets) {
    const device = new Device({ assets, threads: 1, lifeLock: '' })
    const { graph, externalData } = probeFiles()
    const files = memoryFiles(
      new Map([
        [PROBE_GRAPH.file, Uint8Array.from(graph)],
        [PROBE_GRAPH.externalData, Uint8Array.from(externalData)],
      ]),
    )
    const options = {
      maxRunning: PROBE_OPTIONS.rows,
      contextLength: PROBE_OPTIONS.contextLength,
      maxTokensPerStep: PROBE_OPTIONS.maxTokensPerStep,
      kvBudgetBytes: 2 ** 30,
      kvType: 'float32' as const,
    }
    const { runner } = await device.createRunner(PROBE_GRAPH, files, wanted, options)
    return { recorded: PROBE_LOGITS, found: await probeLogits(runner) }
  }

  /** Throws at the first promise that a build of the kernels does not keep; returns what was checked. */
  async checkKernels(variant: KernelVariant, assets: WorkerAssets): Promise<string[]> {
    const wasm = await (await fetch(assets.kernels[variant])).arrayBuffer()
    const isShared = variant.endsWith('threads')
    for (const [name, check] of Object.entries(KERNEL_CHECKS)) {
      try {
        check(await Workspace.create(wasm, isShared))
      } catch (cause) {
        throw new Error(`${name}: ${String(cause)}`, { cause })
      }
    }
    return Object.keys(KERNEL_CHECKS)
  }

  /** Throws at the first promise that a store does not keep. */
  async checkStore(kind: 'indexeddb' | 'opfs'): Promise<void> {
    const make = kind === 'opfs' ? opfsChunkStore : idbChunkStore
    await checkChunkStore(make('tabserve-conformance'))
    await checkWeightStore(() => make('tabserve-conformance'))
  }

  timeStore(kind: TimedStore, numBytes: number): Promise<{ putMs: number; getMs: number }> {
    return timeStore(kind, numBytes)
  }

  async close(id: number): Promise<void> {
    await this.#runner(id).dispose()
  }

  async run(id: number, runs: readonly RunOptions[]): Promise<Float32Array[]> {
    return (await this.runTop(id, runs)).map(({ values }) => values)
  }

  /** With the tokens that the logits belong to, where the runner gave the largest only. */
  async runTop(id: number, runs: readonly RunOptions[]): Promise<Logits[]> {
    const { outputs } = await this.#runner(id).run({
      runs: runs.map((run) => ({ top: 0, ...run, tokens: Int32Array.from(run.tokens) })),
    })
    return outputs.map(({ values, tokens }) => ({ values: values.slice(), tokens: tokens?.slice() }))
  }

  async copyKv(id: number, copies: readonly KvCopy[]): Promise<void> {
    this.#runner(id).copyKv(copies)
  }

  /** Throws at the first promise about KV as bytes that two runners of one kind do not keep. */
  checkKvBytes(first: number, second: number, within: number): Promise<void> {
    return checkKvBytes(this.#runner(first), this.#runner(second), within)
  }

  async kvBytes(id: number): Promise<number> {
    return this.#runner(id).kvBytes
  }

  /** Bytes that a runner on the GPU has moved. */
  async traffic(id: number): Promise<GpuTraffic> {
    const runner = this.#runner(id)
    if (!(runner instanceof GpuRunner)) throw new Error('only of runners on the GPU')
    return runner.traffic
  }

  encode(id: number, text: string): number[] {
    return this.#tokenizers[id]?.encode(text) ?? []
  }

  /** Continues `prompt` greedily until there are `length` tokens; the logits behind the prompt and behind the last token. */
  async greedy(id: number, prompt: readonly number[], length: number) {
    const read = async (from: number) => {
      const [logits] = await this.run(id, [
        { kv: { row: 0 }, from, tokens: tokens.slice(from), wantLogits: 'last' },
      ])
      return logits ?? new Float32Array()
    }
    const tokens = [...prompt]
    const first = await read(0)
    let last = first
    while (tokens.length < length) {
      tokens.push(argmax(last))
      last = await read(tokens.length - 1)
    }
    return { tokens, first, last }
  }

  /** Reads `tokens` in windows of `window`: negative log-likelihood of each but a window's first, and the likeliest token there. */
  async score(
    id: number,
    tokens: readonly number[],
    window: number,
  ): Promise<{ nll: number[]; top: number[] }> {
    const nll: number[] = []
    const top: number[] = []
    const { vocabSize, maxTokensPerStep } = this.#runner(id).capabilities
    for (let begin = 0; begin + 1 < tokens.length; begin += window) {
      const piece = tokens.slice(begin, begin + window)
      for (let from = 0; from < piece.length; from += maxTokensPerStep) {
        const chunk = piece.slice(from, from + maxTokensPerStep)
        const [logits = new Float32Array()] = await this.run(id, [
          { kv: { row: 0 }, from, tokens: chunk, wantLogits: 'all' },
        ])
        for (const at of chunk.keys()) {
          const next = piece[from + at + 1]
          if (next === undefined) continue
          const row = logits.subarray(at * vocabSize, (at + 1) * vocabSize)
          nll.push(logSumExp(row) - (row[next] ?? 0))
          top.push(argmax(row))
        }
      }
    }
    return { nll, top }
  }

  /**
   * Milliseconds of each of `steps` steps of `rows` rows with `tokens` tokens each, behind a context of `context` positions that nobody has
   * filled: what KV holds does not change what reading it costs.
   */
  async timeSteps(
    id: number,
    rows: number,
    context: number,
    tokens: number,
    steps: number,
  ): Promise<number[]> {
    const runs = Array.from({ length: rows }, (_, row) => ({
      kv: { row },
      from: context,
      tokens: new Int32Array(tokens).fill(7),
      wantLogits: 'last' as const,
      top: 1,
    }))
    const times: number[] = []
    // Helper threads that slept wake up on their caller's core, and have one of their own some milliseconds later.
    for (const begun = performance.now(); performance.now() - begun < 25;)
      await this.#runner(id).run({ runs })
    for (let step = 0; step < steps; step++) {
      const started = performance.now()
      await this.#runner(id).run({ runs })
      times.push(performance.now() - started)
    }
    return times
  }

  /** Milliseconds to read a prompt of `length` tokens in chunks. */
  async timePrompt(id: number, length: number, chunk: number): Promise<number> {
    const started = performance.now()
    for (let from = 0; from < length; from += chunk) {
      const tokens = new Int32Array(chunk).fill(7)
      await this.#runner(id).run({ runs: [{ kv: { row: 0 }, from, tokens, wantLogits: 'last', top: 1 }] })
    }
    return performance.now() - started
  }

  /** Bytes a second at which one thread reads a wasm memory much larger than the caches. */
  async readBandwidth(assets: WorkerAssets): Promise<number> {
    const bytes = 2 ** 28
    const memory = new WebAssembly.Memory({ initial: bytes / 65536 + 1, maximum: 65536 })
    const wasm = await (await fetch(assets.kernels.plain)).arrayBuffer()
    const { instance } = await WebAssembly.instantiate(wasm, { env: { memory } })
    const { readAll } = instance.exports as unknown as KernelExports
    new Uint8Array(memory.buffer).fill(1) // pages that nobody has written are all one page
    const started = performance.now()
    readAll(65536, bytes)
    return (1000 * bytes) / (performance.now() - started)
  }

  /** Milliseconds to choose one token; random logits are made at a vocabulary's first call. */
  timeSampling(vocabSize: number, options: SamplingParams): number {
    const timer = this.#samplingTimers.get(vocabSize) ?? new SamplingTimer(vocabSize)
    this.#samplingTimers.set(vocabSize, timer)
    return timer.time(options)
  }

  /** An engine of its own on the runner, which needs one row more than `numAnswers`. */
  tokenGaps(id: number, numAnswers: number, promptLength: number): Promise<TokenGaps> {
    return tokenGaps(this.#runner(id), numAnswers, promptLength)
  }

  #runner(id: number): ModelRunner {
    const runner = this.#runners[id]
    if (runner === undefined) throw new Error(`no runner ${id}`)
    return runner
  }
}

export type HarnessApi = Harness

// Helpers run this file too.
if (!servesAsHelper()) expose(new Harness())

function argmax(values: Float32Array): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index
  return best
}

function logSumExp(values: Float32Array): number {
  const max = values.reduce((largest, value) => Math.max(largest, value), -Infinity)
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0))
}

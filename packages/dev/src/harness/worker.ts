import { expose } from 'comlink'
import { checkWeightStore } from '../../../../test/conformance/weight-store.ts'
import type { KvCopy, ModelRunner } from '@tabserve/engine'
import type { KvBinding, SamplingParams } from '@tabserve/protocol'
import {
  Device,
  ModelRepository,
  PROBE_GRAPH,
  PROBE_LOGITS,
  PROBE_OPTIONS,
  Tokenizer,
  idbStore,
  memoryStore,
  probeFiles,
  probeLogits,
} from '@tabserve/runtime'
import { SamplingTimer } from './sampling-timer.ts'
import type { TokenGaps } from './token-gaps.ts'
import { tokenGaps } from './token-gaps.ts'

interface OpenOptions {
  readonly url: string
  readonly binding: KvBinding | 'auto'
  readonly assets: { readonly mjs: string; readonly wasm: string }
  readonly threads?: number
  readonly rows?: number
  readonly contextLength?: number
  readonly maxTokensPerStep?: number
}

interface RunOptions {
  readonly row: number
  readonly from: number
  readonly tokens: readonly number[]
  readonly wantLogits: 'none' | 'last' | 'all'
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
    binding,
    assets,
    threads = 1,
    rows = 1,
    contextLength,
    maxTokensPerStep = 64,
  }: OpenOptions) {
    this.#device ??= new Device({ assets, threads, lifeLock: '' })
    const options = { signal: new AbortController().signal, onProgress: () => {}, refresh: true }
    const { manifest, files } = await new ModelRepository(memoryStore()).open(url, options)
    const { graph, tokenizer } = manifest
    const bytesOf = (path: string) => files.get(path) ?? new Uint8Array()
    const decoder = { graph: bytesOf(graph.file), externalData: bytesOf(graph.externalData) }
    const room = { rows, contextLength: contextLength ?? graph.contextLength, maxTokensPerStep }
    const { runner, ...bound } = await this.#device.createRunner(graph, decoder, binding, room)
    this.#tokenizers.push(new Tokenizer(bytesOf(tokenizer.file), bytesOf(tokenizer.config), tokenizer))
    return { id: this.#runners.push(runner) - 1, manifest, ...bound }
  }

  /** What the heap interface's self-test compares with, and what a binding really gives. */
  async probe(binding: KvBinding, assets: OpenOptions['assets']) {
    const device = new Device({ assets, threads: 1, lifeLock: '' })
    const { runner } = await device.createRunner(PROBE_GRAPH, probeFiles(), binding, PROBE_OPTIONS)
    return { recorded: PROBE_LOGITS, found: await probeLogits(runner) }
  }

  /** Throws at the first promise that the IndexedDB store does not keep. */
  checkIdbStore(): Promise<void> {
    return checkWeightStore(idbStore('tabserve-conformance'))
  }

  async close(id: number): Promise<void> {
    await this.#runner(id).dispose()
  }

  async run(id: number, runs: readonly RunOptions[]): Promise<Float32Array[]> {
    const { logits } = await this.#runner(id).run({
      runs: runs.map((run) => ({ ...run, tokens: Int32Array.from(run.tokens) })),
    })
    return logits.map((view) => view.slice())
  }

  async copyKv(id: number, copies: readonly KvCopy[]): Promise<void> {
    this.#runner(id).copyKv(copies)
  }

  async kvBytes(id: number): Promise<number> {
    return this.#runner(id).kvBytes
  }

  encode(id: number, text: string): number[] {
    return this.#tokenizers[id]?.encode(text) ?? []
  }

  /** Continues `prompt` greedily until there are `length` tokens; the logits behind the prompt and behind the last token. */
  async greedy(id: number, prompt: readonly number[], length: number) {
    const read = async (from: number) => {
      const [logits] = await this.run(id, [{ row: 0, from, tokens: tokens.slice(from), wantLogits: 'last' }])
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
          { row: 0, from, tokens: chunk, wantLogits: 'all' },
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

  /** Milliseconds of each of `steps` decode steps behind a context of `context` tokens; the row is filled once, then overwritten. */
  async timeDecode(id: number, context: number, steps: number): Promise<number[]> {
    const { maxTokensPerStep } = this.#runner(id).capabilities
    for (let from = 0; from < context; from += maxTokensPerStep) {
      const tokens = new Array<number>(Math.min(maxTokensPerStep, context - from)).fill(5)
      await this.run(id, [{ row: 0, from, tokens, wantLogits: 'none' }])
    }
    const times: number[] = []
    for (let step = 0; step < steps; step++) {
      const started = performance.now()
      await this.#runner(id).run({
        runs: [{ row: 0, from: context, tokens: Int32Array.of(7), wantLogits: 'last' }],
      })
      times.push(performance.now() - started)
    }
    return times
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

expose(new Harness())

function argmax(values: Float32Array): number {
  let best = 0
  for (let index = 1; index < values.length; index++) if (values[index]! > values[best]!) best = index
  return best
}

function logSumExp(values: Float32Array): number {
  const max = values.reduce((largest, value) => Math.max(largest, value), -Infinity)
  return max + Math.log(values.reduce((sum, value) => sum + Math.exp(value - max), 0))
}

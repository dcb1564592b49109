import type { SchedulerOptions } from '@tabserve/engine'
import { checkNumber, checkOneOf } from '@tabserve/engine'
import type { DecoderGraph, LoadRequest } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { RunnerOptions } from '../backend/runner-options.ts'
import { Tokenizer } from '../tokenizer.ts'
import { GenerateModel } from './generate.ts'
import type { Task } from './index.ts'
import { warmUp } from './warm-up.ts'

/** Prefill loses nothing down to 32 tokens a chunk, and a chunk is how long an abort may have to wait. */
const MAX_TOKENS_PER_STEP = 64
const MAX_RUNNING = 8
const MAX_WAITING = 100
const KV_BUDGET_BYTES = 2 ** 30
const TARGET_GAP_MS = 100
const FLOAT_BYTES = 4

/** Loads a decoder: tokenizer, session, KV cache, and one step of each shape so that the first request is not the slow one. */
export const loadGenerate: Task = async ({ manifest, files }, device, request, onProgress) => {
  const { graph, tokenizer: spec } = manifest
  const { room, scheduling } = resolveServing(request, graph)
  const bytesOf = (path: string) => files.get(path) ?? new Uint8Array() // the manifest was checked to list it
  const tokenizer = new Tokenizer(bytesOf(spec.file), bytesOf(spec.config), spec)

  onProgress({ type: 'load-progress', phase: 'create' })
  const started = performance.now()
  const decoder = { graph: bytesOf(graph.file), externalData: bytesOf(graph.externalData) }
  const { runner, ...bound } = await device.createRunner(graph, decoder, request.binding ?? 'auto', room)
  const created = performance.now()

  onProgress({ type: 'load-progress', phase: 'warm-up' })
  try {
    await warmUp(runner)
  } catch (cause) {
    await runner.dispose()
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EngineError('bad_model', `${graph.file} loads but does not run: ${reason}`, {
      file: graph.file,
      cause,
    })
  }
  return {
    ...bound,
    served: new GenerateModel(runner, tokenizer, spec.eosTokenIds, scheduling),
    contextLength: room.contextLength,
    maxRunning: room.rows,
    kvBytes: room.rows * rowBytes(graph, room.contextLength),
    hasChatTemplate: tokenizer.hasChatTemplate,
    report: { createMs: created - started, warmupMs: performance.now() - created },
  }
}

interface Serving {
  readonly room: RunnerOptions
  readonly scheduling: SchedulerOptions
}

/** The options of a load, checked and filled in. Throws `bad_request`. */
function resolveServing(request: LoadRequest, graph: DecoderGraph): Serving {
  const whole = (option: WholeOption, min: number, max: number, standard: number) =>
    checkNumber(
      option,
      request[option],
      `a whole number from ${min} to ${max}`,
      (value) => Number.isInteger(value) && value >= min && value <= max,
    ) ?? standard
  const contextLength = whole('contextLength', 4, graph.contextLength, graph.contextLength)
  const maxRunning = whole('maxRunning', 1, 64, MAX_RUNNING)
  const budget = whole('kvBudgetBytes', 1, Number.MAX_SAFE_INTEGER, KV_BUDGET_BYTES)
  const rows = Math.min(maxRunning, Math.floor(budget / rowBytes(graph, contextLength)))
  if (rows < 1) {
    const message = `kvBudgetBytes ${budget} does not hold one row of ${contextLength} positions, which takes ${rowBytes(graph, contextLength)} bytes. Raise it, or lower contextLength.`
    throw new EngineError('bad_request', message)
  }
  const maxTokensPerStep = whole('maxTokensPerStep', 1, 4096, MAX_TOKENS_PER_STEP)
  return {
    room: { rows, contextLength, maxTokensPerStep: Math.min(maxTokensPerStep, contextLength) },
    scheduling: {
      maxWaiting: whole('maxWaiting', 0, 100_000, MAX_WAITING),
      targetGapMs:
        checkNumber('targetGapMs', request.targetGapMs, 'a number above 0', (value) => value > 0) ??
        TARGET_GAP_MS,
      speculation: checkOneOf('speculation', request.speculation, ['auto', 'off']) ?? 'auto',
    },
  }
}

type WholeOption = 'contextLength' | 'maxRunning' | 'maxWaiting' | 'kvBudgetBytes' | 'maxTokensPerStep'

/** KV of one row: keys and values of every layer. */
function rowBytes({ layers, kvHeads, headDim }: DecoderGraph, contextLength: number): number {
  return 2 * layers * kvHeads * contextLength * headDim * FLOAT_BYTES
}

import type { ModelRunner } from '@tabserve/engine'
import type { DecoderGraph } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { RunnerOptions } from '../backend/runner-options.ts'
import { Tokenizer } from '../tokenizer.ts'
import { GenerateModel } from './generate.ts'
import type { Task } from './index.ts'

/** Prompt tokens a step: prefill loses nothing down to 32 tokens a chunk, and a chunk is how long an abort may have to wait. */
const MAX_TOKENS_PER_STEP = 64
const FLOAT_BYTES = 4

/** Loads a decoder: tokenizer, session, KV cache, and one step of each shape so that the first request is not the slow one. */
export const loadGenerate: Task = async ({ manifest, files }, device, request, onProgress) => {
  const { graph, tokenizer: spec } = manifest
  const contextLength = checkContextLength(request.contextLength ?? graph.contextLength, graph.contextLength)
  const bytesOf = (path: string) => files.get(path) ?? new Uint8Array() // the manifest was checked to list it
  const tokenizer = new Tokenizer(bytesOf(spec.file), bytesOf(spec.config), spec)

  onProgress({ type: 'load-progress', phase: 'create' })
  const started = performance.now()
  const decoder = { graph: bytesOf(graph.file), externalData: bytesOf(graph.externalData) }
  const options: RunnerOptions = {
    rows: 1,
    contextLength,
    maxTokensPerStep: Math.min(MAX_TOKENS_PER_STEP, contextLength),
  }
  const { runner, ...bound } = await device.createRunner(graph, decoder, request.binding ?? 'auto', options)
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
    served: new GenerateModel(runner, tokenizer, spec.eosTokenIds),
    contextLength,
    kvBytes: kvBytes(graph, options),
    hasChatTemplate: tokenizer.hasChatTemplate,
    report: { createMs: created - started, warmupMs: performance.now() - created },
  }
}

async function warmUp(runner: ModelRunner): Promise<void> {
  const { maxTokensPerStep } = runner.capabilities
  const chunk = new Int32Array(Math.max(1, maxTokensPerStep - 1))
  await runner.run({ runs: [{ row: 0, from: 0, tokens: chunk, wantLogits: 'none' }] })
  await runner.run({ runs: [{ row: 0, from: chunk.length, tokens: new Int32Array(1), wantLogits: 'last' }] })
}

function kvBytes({ layers, kvHeads, headDim }: DecoderGraph, { rows, contextLength }: RunnerOptions): number {
  return 2 * layers * rows * kvHeads * contextLength * headDim * FLOAT_BYTES
}

function checkContextLength(wanted: number, largest: number): number {
  if (Number.isInteger(wanted) && wanted >= 2 && wanted <= largest) return wanted
  throw new EngineError(
    'bad_request',
    `contextLength ${wanted} must be a whole number from 2 to ${largest}, the model's context.`,
  )
}

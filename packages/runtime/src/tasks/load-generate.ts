import type { SchedulerOptions } from '@tabserve/engine'
import { checkNumber, checkOneOf } from '@tabserve/engine'
import type { GenerateManifest, LoadRequest } from '@tabserve/protocol'
import { EngineError, TOOL_PARSERS } from '@tabserve/protocol'
import type { RunnerOptions } from '../backend/runner-options.ts'
import { familyOf } from '../tools/call-family.ts'
import { GenerateModel } from './generate.ts'
import type { Task } from './index.ts'
import { LastingRunner } from './lasting-runner.ts'
import { readTokenizer } from './read-tokenizer.ts'
import { warmUp } from './warm-up.ts'

/** Prefill loses nothing down to 32 tokens a chunk, and a chunk is how long an abort may have to wait. */
const MAX_TOKENS_PER_STEP = 64
const MAX_RUNNING = 8
const MAX_WAITING = 100
const KV_BUDGET_BYTES = 2 ** 30
const TARGET_GAP_MS = 100

/** Loads a decoder: tokenizer, session, KV cache, and one step of each shape so that the first request is not the slow one. */
export const loadGenerate: Task<GenerateManifest> = async (model, device, request, onProgress) => {
  const { manifest, files, reopen, observer } = model
  const { graph, tokenizer: spec } = manifest
  const { room, scheduling } = resolveServing(request, graph)
  const tokenizer = await readTokenizer(files, spec)
  const template = tokenizer.toolTemplate
  const parser = checkOneOf('toolParser', request.toolParser, TOOL_PARSERS) ?? familyOf(template)
  const habits = { parser, thinks: template?.includes('</think>') === true }

  let started = performance.now()
  const onRead = () => {
    started = performance.now()
    onProgress({ type: 'load-progress', phase: 'create' })
  }
  const wanted = {
    device: checkOneOf('device', request.device, ['auto', 'webgpu', 'wasm']) ?? 'auto',
    runner: checkOneOf('runner', request.runner, ['auto', 'kernels', 'heap', 'public', 'webgpu']) ?? 'auto',
  }
  const graphFile = manifest.files.find(({ path }) => path === graph.file)?.sha256 ?? graph.file
  const { chosen, choice } = await device.choose(graph, files, wanted, room, graphFile, onRead)
  onProgress({ type: 'load-progress', phase: 'device', choice })
  const created = performance.now()

  onProgress({ type: 'load-progress', phase: 'warm-up' })
  try {
    await warmUp(chosen.runner, choice.device === 'webgpu')
  } catch (cause) {
    await chosen.runner.dispose()
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new EngineError('bad_model', `${graph.file} loads but does not run: ${reason}`, {
      file: graph.file,
      cause,
    })
  }
  let rows = room.maxRunning
  const lasting = new LastingRunner(
    {
      make: async (to, isTight) => {
        if (isTight) rows = Math.max(1, Math.floor(rows / 2))
        const runner = to === 'webgpu' ? to : 'auto'
        return device.createRunner(graph, await reopen(), runner, { ...room, maxRunning: rows })
      },
      now: () => performance.now(),
    },
    chosen,
    choice,
  )
  return {
    served: new GenerateModel(
      lasting,
      tokenizer,
      spec.eosTokenIds,
      device.grammarScript,
      { ...scheduling, habits },
      observer,
    ),
    contextLength: room.contextLength,
    ...(chosen.cache === undefined ? {} : { cache: chosen.cache }),
    hasChatTemplate: tokenizer.hasChatTemplate,
    ...(parser === undefined ? {} : { toolParser: parser }),
    report: { createMs: created - started, warmupMs: performance.now() - created },
  }
}

interface Serving {
  readonly room: RunnerOptions
  readonly scheduling: SchedulerOptions
}

/** The options of a load, checked and filled in. Throws `bad_request`. */
function resolveServing(request: LoadRequest, graph: GenerateManifest['graph']): Serving {
  const whole = (option: WholeOption, min: number, max: number, standard: number) =>
    checkNumber(
      option,
      request[option],
      `a whole number from ${min} to ${max}`,
      (value) => Number.isInteger(value) && value >= min && value <= max,
    ) ?? standard
  const contextLength = whole('contextLength', 4, graph.contextLength, graph.contextLength)
  const maxTokensPerStep = whole('maxTokensPerStep', 1, 4096, MAX_TOKENS_PER_STEP)
  return {
    room: {
      maxRunning: whole('maxRunning', 1, 64, MAX_RUNNING),
      contextLength,
      maxTokensPerStep: Math.min(maxTokensPerStep, contextLength),
      kvBudgetBytes: whole('kvBudgetBytes', 1, Number.MAX_SAFE_INTEGER, KV_BUDGET_BYTES),
      kvType: checkOneOf('kvType', request.kvType, ['float32', 'float16', 'int8']),
    },
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

import type { CacheFacts, OnnxDecoderGraph, RunnerName } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../../models/model-files.ts'
import type { ChosenRunner } from '../chosen-runner.ts'
import { backendFailed, creating, messageOf } from '../backend-failure.ts'
import type { OrtModule } from '../ort-module.ts'
import type { PublicOrt } from '../public-ort.ts'
import type { RunnerOptions } from '../runner-options.ts'
import { maxRowBytes } from '../runner-options.ts'
import { batchProblem } from './batch-check.ts'
import { ForeignRunner } from './foreign-runner.ts'
import type { ForeignSession } from './foreign-session.ts'
import type { OpenedForeign } from './open-foreign.ts'
import { openForeign } from './open-foreign.ts'

/** Both doors to onnxruntime, each opened when it is first needed. */
export interface OrtEngines {
  heap(): Promise<OrtModule>
  public(): Promise<PublicOrt>
}

/**
 * Makes the runner of a graph that somebody else exported: its cache in the heap where it has a fixed capacity, else through the public API. Throws
 * as `Device.createRunner` does.
 */
export async function createForeign(
  engines: OrtEngines,
  graph: OnnxDecoderGraph,
  files: ModelFiles,
  wanted: RunnerName | 'auto',
  options: RunnerOptions,
  onRead: () => void,
): Promise<ChosenRunner> {
  if (wanted === 'kernels')
    throw notFor(`The kernels cannot run this model: ${graph.file} is somebody else's graph.`)
  if (wanted === 'webgpu') {
    const message = `The GPU cannot run this model: ${graph.file} is somebody else's graph. Leave out \`device\` and \`runner\`.`
    throw new EngineError('bad_request', message)
  }
  const opened = await openForeign(graph, files, options)
  onRead()
  if (wanted === 'heap' && opened.form.form !== 'gqa')
    throw notFor(`${graph.file} gives back a cache that grows, which has no place in the heap.`)
  const { session, name, problem } = await sessionOf(engines, graph, opened, wanted)
  const { runner, cache, facts } = await creating(graph, runnerOf(session, opened))
  return {
    runner,
    name,
    maxKvBytes: maxRowBytes(graph, opened.room, cache.dtype),
    kvType: cache.dtype,
    cache,
    reason: [facts, ...(problem === undefined ? [] : [problem])].join('; '),
  }
}

interface OpenSession {
  readonly session: ForeignSession
  readonly name: RunnerName
  /** Why it is not the better one. */
  readonly problem?: string
}

async function sessionOf(
  engines: OrtEngines,
  graph: OnnxDecoderGraph,
  { form, files, room }: OpenedForeign,
  wanted: RunnerName | 'auto',
): Promise<OpenSession> {
  const throughPublic = async (): Promise<OpenSession> => {
    const ort = await engines.public().catch((error: unknown) => Promise.reject(backendFailed(error)))
    const { PublicForeignSession } = await import('./public-session.ts')
    const session = await creating(graph, PublicForeignSession.create(ort, files, form, room))
    return { session, name: 'public' }
  }
  if (wanted === 'public' || form.form !== 'gqa') return throughPublic()
  let module: OrtModule
  try {
    module = await engines.heap()
  } catch (error) {
    if (wanted === 'heap') throw backendFailed(error)
    return { ...(await throughPublic()), problem: `not heap: ${messageOf(error)}` }
  }
  const { HeapForeignSession } = await import('./heap-session.ts')
  return {
    session: await creating(graph, HeapForeignSession.create(module, files, form, room)),
    name: 'heap',
  }
}

/** Finds out whether several answers may be computed together. The session is the runner's now, or is gone. */
async function runnerOf(session: ForeignSession, { form, room }: OpenedForeign) {
  try {
    const alone = form.alone ?? (await batchProblem(session, form, room))
    const batched = alone === undefined
    const { form: kind, dtype } = form
    const cache: CacheFacts = { form: kind, dtype, batched }
    const facts = `${FORM_TEXT[kind]} in ${dtype}, ${batched ? 'batched' : `one answer at a time: ${alone}`}`
    return { runner: new ForeignRunner(session, form, room, batched), cache, facts }
  } catch (error) {
    await session.dispose()
    throw error
  }
}

function notFor(problem: string): EngineError {
  return new EngineError('bad_request', `${problem} Leave out \`runner\`.`)
}

const FORM_TEXT: Readonly<Record<CacheFacts['form'], string>> = {
  gqa: 'GroupQueryAttention over a cache',
  concat: 'a cache that grows by Concat',
}

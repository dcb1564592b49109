import type { OnnxDecoderGraph } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ModelFiles } from '../../models/model-files.ts'
import type { RowRoom, RunnerOptions } from '../runner-options.ts'
import { rowRoomOf } from '../runner-options.ts'
import type { DecoderForm } from './decoder-form.ts'
import { readDecoderForm } from './decoder-form.ts'
import type { ForeignFiles } from './foreign-session.ts'

/** A foreign decoder before it runs: what its graph says, and its files. */
export interface OpenedForeign {
  readonly form: DecoderForm
  readonly files: ForeignFiles
  readonly room: RowRoom
}

/** Reads a foreign decoder. Throws `bad_model`, saying what was found, where it is none that we can run; `bad_request` as `rowRoomOf` does. */
export async function openForeign(
  graph: OnnxDecoderGraph,
  files: ModelFiles,
  options: RunnerOptions,
): Promise<OpenedForeign> {
  const bytes = await files.bytes(graph.file)
  const form = readDecoderForm(bytes, graph)
  const room = rowRoomOf(graph, options, form.dtype)
  const externalData = new Map<string, Uint8Array>()
  for (const name of form.externalFiles) {
    const path = besides(graph.file, name)
    if (!graph.externalData.includes(path)) {
      const message = `${graph.file} has weights in ${path}, which its manifest does not list. Add the file to the model's folder.`
      throw new EngineError('bad_model', message, { file: graph.file })
    }
    externalData.set(name, await files.bytes(path))
  }
  return { form, files: { graph: bytes, externalData }, room }
}

/** The path of a file that a graph names relative to its own. */
function besides(file: string, name: string): string {
  return `${file.slice(0, file.lastIndexOf('/') + 1)}${name.replace(/^\.\//, '')}`
}

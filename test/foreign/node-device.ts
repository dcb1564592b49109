import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import type { DecoderSpec } from '../../packages/convert/src/graph/decoder-spec.ts'
import type { RunnerName } from '../../packages/protocol/src/index.ts'
import type { ChosenRunner } from '../../packages/runtime/src/backend/chosen-runner.ts'
import { createForeign } from '../../packages/runtime/src/backend/foreign/create-foreign.ts'
import { PublicOrt } from '../../packages/runtime/src/backend/public-ort.ts'
import type { RunnerOptions } from '../../packages/runtime/src/backend/runner-options.ts'
import { memoryFiles } from '../../packages/runtime/src/models/model-files.ts'
import type { ForeignExport, ForeignOptions } from './write-foreign.ts'
import { exportForeign } from './write-foreign.ts'

const ORT = join(import.meta.dirname, '../../packages/runtime/node_modules/onnxruntime-web/dist')

export const ROOM: RunnerOptions = {
  maxRunning: 4,
  contextLength: 48,
  maxTokensPerStep: 32,
  kvBudgetBytes: 2 ** 28,
  kvType: 'float32',
}

/** The runner of an export, through onnxruntime-web's public API, which runs in Node as in a browser. */
export function openExport(
  { graph, externalData, described }: ForeignExport,
  options: Partial<RunnerOptions> = {},
  wanted: RunnerName | 'auto' = 'auto',
): Promise<ChosenRunner> {
  const files = [
    [described.file, graph],
    ...described.externalData.map((path) => [path, externalData]),
  ] as const
  const bytes = new Map(files.map(([path, data]) => [path as string, Uint8Array.from(data as Uint8Array)]))
  const engines = {
    heap: () => Promise.reject(new Error('there is no heap in Node')),
    public: async () => {
      const [mjs, wasm] = ['mjs', 'wasm'].map(
        (ending) => pathToFileURL(join(ORT, `ort-wasm-simd-threaded.${ending}`)).href,
      )
      return new PublicOrt({ mjs: mjs ?? '', wasm: wasm ?? '' }, 1)
    },
  }
  return createForeign(engines, described, memoryFiles(bytes), wanted, { ...ROOM, ...options }, () => {})
}

export function openForeignDecoder(spec: DecoderSpec, options: ForeignOptions): Promise<ChosenRunner> {
  return openExport(exportForeign(spec, options))
}

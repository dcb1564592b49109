import { createHash } from 'node:crypto'
import { mkdir, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type { InferManifest } from '@tabserve/protocol'

export interface TaskFolder extends Pick<InferManifest, 'handler' | 'options' | 'batching'> {
  readonly name: string
  /** The main one first, and further ones by the names that the handler runs them by. Their files are called so, too. */
  readonly graphs: Readonly<Record<string, Uint8Array>>
  /** Other files. With `tokenizer.json` and `tokenizer_config.json` the model has a tokenizer. */
  readonly files?: Readonly<Record<string, string>>
}

/** What lies in a model folder of task `infer`, and its manifest. */
export function taskFiles({ name, graphs, files = {}, ...said }: TaskFolder): {
  readonly files: Readonly<Record<string, Uint8Array>>
  readonly manifest: InferManifest
} {
  const all: Record<string, Uint8Array> = {}
  for (const [graph, bytes] of Object.entries(graphs)) all[`${graph}.onnx`] = bytes
  for (const [path, text] of Object.entries(files)) all[path] = new TextEncoder().encode(text)
  const spec = (graph: string) => ({ kind: 'onnx' as const, file: `${graph}.onnx` })
  const [main = 'main', ...others] = Object.keys(graphs)
  const manifest: InferManifest = {
    format: 'tabserve-model',
    formatVersion: 1,
    name,
    version: '1',
    task: 'infer',
    graph: spec(main),
    ...(others.length === 0
      ? {}
      : { graphs: Object.fromEntries(others.map((graph) => [graph, spec(graph)])) }),
    ...said,
    ...('tokenizer.json' in files
      ? {
          tokenizer: {
            file: 'tokenizer.json',
            config: 'tokenizer_config.json',
            eosTokenIds: [],
            addBos: false,
          },
        }
      : {}),
    files: Object.entries(all).map(([path, bytes]) => ({
      path,
      bytes: bytes.length,
      sha256: createHash('sha256').update(bytes).digest('hex'),
    })),
  }
  return { files: all, manifest }
}

/** Writes such a folder. */
export async function writeTaskFolder(out: string, folder: TaskFolder): Promise<void> {
  const { files, manifest } = taskFiles(folder)
  const text = new TextEncoder().encode(JSON.stringify(manifest))
  for (const [path, bytes] of [...Object.entries(files), ['manifest.json', text] as const]) {
    await mkdir(dirname(join(out, path)), { recursive: true })
    await writeFile(join(out, path), bytes)
  }
}

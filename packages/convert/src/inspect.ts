import { createHash } from 'node:crypto'
import { readFile, stat } from 'node:fs/promises'
import { createReadStream } from 'node:fs'
import { join } from 'node:path'
import type { GenerateManifest, ManifestFile } from '@tabserve/protocol'
import { ConvertError } from './convert-error.ts'
import { onnxModel } from './onnx/schema.ts'
import type { ModelProto } from './onnx/schema.ts'
import { readJson, readManifest } from './read-manifest.ts'

export interface FileFacts extends ManifestFile {
  readonly state: 'ok' | 'missing' | 'wrong size' | 'wrong hash'
}

export interface ModelFacts {
  readonly manifest: GenerateManifest
  readonly files: readonly FileFacts[]
  /** Keys and values of one position, all layers, fp32. */
  readonly kvBytesPerToken: number
  readonly kvBytesAtFullContext: number
  readonly opsets: readonly { readonly domain: string; readonly version: number }[]
  /** Number of nodes of each kind, most frequent first. */
  readonly ops: readonly { readonly opType: string; readonly count: number }[]
  readonly hasChatTemplate: boolean
  readonly numMerges: number
}

/** Reads a model folder and says what it is. Files that are missing or changed are reported, not thrown, as far as reading can go on. */
export async function inspectModel(folder: string): Promise<ModelFacts> {
  const manifest = await readGenerateManifest(folder)
  const files = await Promise.all(manifest.files.map((file) => checkFile(folder, file)))
  const { layers, kvHeads, headDim, contextLength } = manifest.graph
  const kvBytesPerToken = 2 * layers * kvHeads * headDim * 4
  return {
    manifest,
    files,
    kvBytesPerToken,
    kvBytesAtFullContext: kvBytesPerToken * contextLength,
    ...(await graphFacts(join(folder, manifest.graph.file))),
    ...(await tokenizerFacts(folder, manifest)),
  }
}

async function readGenerateManifest(folder: string): Promise<GenerateManifest> {
  const manifest = await readManifest(folder)
  if (manifest.task === 'generate') return manifest
  const path = join(folder, 'manifest.json')
  throw new ConvertError(
    `${path} is of task ${manifest.task}: only models that generate text can be inspected`,
  )
}

async function checkFile(folder: string, file: ManifestFile): Promise<FileFacts> {
  const path = join(folder, file.path)
  const found = await stat(path).catch(() => undefined)
  if (found === undefined) return { ...file, state: 'missing' }
  if (found.size !== file.bytes) return { ...file, state: 'wrong size' }
  const hash = createHash('sha256')
  for await (const chunk of createReadStream(path)) hash.update(chunk as Uint8Array)
  return { ...file, state: hash.digest('hex') === file.sha256 ? 'ok' : 'wrong hash' }
}

async function graphFacts(path: string): Promise<Pick<ModelFacts, 'opsets' | 'ops'>> {
  const model = await readGraph(path)
  if (model === undefined) return { opsets: [], ops: [] }
  const counts = new Map<string, number>()
  for (const { opType } of model.graph.node) counts.set(opType, (counts.get(opType) ?? 0) + 1)
  const ops = [...counts].map(([opType, count]) => ({ opType, count })).sort((a, b) => b.count - a.count)
  return { opsets: model.opsetImport.map(({ domain = '', version }) => ({ domain, version })), ops }
}

async function readGraph(path: string): Promise<ModelProto | undefined> {
  try {
    return onnxModel.decode(await readFile(path)) as ModelProto
  } catch {
    return undefined
  }
}

async function tokenizerFacts(
  folder: string,
  { tokenizer }: GenerateManifest,
): Promise<Pick<ModelFacts, 'hasChatTemplate' | 'numMerges'>> {
  const config = (await readJson(join(folder, tokenizer.config))) as { chat_template?: unknown } | undefined
  const json = (await readJson(join(folder, tokenizer.file))) as
    { model?: { merges?: unknown[] } } | undefined
  return { hasChatTemplate: config?.chat_template !== undefined, numMerges: json?.model?.merges?.length ?? 0 }
}

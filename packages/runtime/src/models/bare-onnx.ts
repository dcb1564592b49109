import type { InferManifest, ManifestFile, PickedFile } from '@tabserve/protocol'
import { createBreath } from '../breath.ts'
import { MANIFEST } from './manifest-text.ts'
import { hashGently, streamingSha256 } from './sha256.ts'

/** Whether an address or a path is that of a graph without a folder around it. */
export function isOnnxFile(path: string): boolean {
  return /\.onnx\/?$/i.test(path)
}

/**
 * The manifest of a graph that comes without one: asked with tensors, by the name of its file. What it takes and gives is read from it when it is loaded.
 * @param files the graph first, then those that its weights may lie in.
 */
export function bareManifest(files: readonly ManifestFile[], isProven: boolean): InferManifest {
  const [graph, ...others] = files
  if (graph === undefined) throw new Error('a manifest of no file')
  const base = graph.path.slice(graph.path.lastIndexOf('/') + 1).replace(/\.onnx$/i, '')
  return {
    format: 'tabserve-model',
    formatVersion: 1,
    name: base.replace(/[^\w.-]+/g, '-') || 'model',
    version: '1',
    task: 'infer',
    graph: { kind: 'onnx', file: graph.path, externalData: others.map(({ path }) => path) },
    files,
    ...(isProven ? {} : { trust: 'first-use' }),
  }
}

/** Picked files with a manifest, where they are one graph without one, and files that its weights lie in. `undefined`: they are not, but a folder that lacks its manifest for instance. */
export async function withBareManifest(
  files: readonly PickedFile[],
): Promise<readonly PickedFile[] | undefined> {
  const [graph, ...graphs] = files.filter(({ path }) => isOnnxFile(path))
  if (graph === undefined || graphs.length > 0) return undefined
  if (files.some(({ path }) => path.endsWith('.json'))) return undefined
  const folder = graph.path.slice(0, graph.path.lastIndexOf('/') + 1)
  const beside = files
    .filter(({ path, blob }) => path.startsWith(folder) && blob.size > 0)
    .map(({ path, blob }) => ({ path: path.slice(folder.length), blob }))
    .toSorted((one, other) => Number(isOnnxFile(other.path)) - Number(isOnnxFile(one.path)))
  const hashed: ManifestFile[] = []
  for (const { path, blob } of beside) hashed.push({ path, bytes: blob.size, sha256: await hashOf(blob) })
  const manifest = JSON.stringify(bareManifest(hashed, true))
  return [...beside, { path: MANIFEST, blob: new Blob([manifest]) }]
}

const PIECE_BYTES = 2 ** 24

async function hashOf(blob: Blob): Promise<string> {
  const [hash, breath] = [await streamingSha256(), createBreath()]
  try {
    for (let from = 0; from < blob.size; from += PIECE_BYTES)
      await hashGently(hash, new Uint8Array(await blob.slice(from, from + PIECE_BYTES).arrayBuffer()), breath)
  } finally {
    breath.dispose()
  }
  return hash.hex()
}

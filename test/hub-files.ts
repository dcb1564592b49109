import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { HubFiles } from '../packages/dev/src/hub-server.ts'
import type { DecoderGraph, GenerateManifest } from '../packages/protocol/src/index.ts'

export const REPOSITORY = 'onnx-community/stories-ONNX'

/**
 * A repository as transformers.js wants it, made of model folders that `convert` wrote: one for each ending of `onnx/model….onnx`. Its graphs are ours, not
 * optimum's.
 * @param split endings whose external data comes in two files.
 */
export async function hubFiles(
  folders: Readonly<Record<string, string>>,
  split: readonly string[] = [],
): Promise<Map<string, Buffer>> {
  const files = new Map<string, Buffer>()
  for (const [ending, folder] of Object.entries(folders)) {
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as GenerateManifest
    const graph = manifest.graph as DecoderGraph // convert writes no others
    const data = await readFile(join(folder, graph.externalData))
    const path = `onnx/model${ending}.onnx`
    files.set(path, await readFile(join(folder, graph.file)))
    const middle = split.includes(ending) ? data.length >> 1 : data.length
    files.set(`${path}_data`, data.subarray(0, middle))
    if (middle < data.length) files.set(`${path}_data_1`, data.subarray(middle))
    for (const [path, bytes] of await textsOf(folder, manifest, graph)) files.set(path, bytes)
  }
  return files
}

/** A repository made of a folder whose graph somebody else's exporter wrote. Its own manifest is not part of it. */
export async function foreignHubFiles(folder: string): Promise<Map<string, Buffer>> {
  const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as GenerateManifest
  const { graph } = manifest
  const paths = [graph.file, ...[graph.externalData].flat()]
  const read = paths.map(async (path) => [path, await readFile(join(folder, path))] as const)
  return new Map([...(await Promise.all(read)), ...(await textsOf(folder, manifest, graph))])
}

/** With another content of one file. */
export function withFile(files: HubFiles, path: string, content: string | Buffer): Map<string, Buffer> {
  return new Map([...files, [path, Buffer.from(content)]])
}

export function withoutFiles(files: HubFiles, pattern: RegExp): Map<string, Buffer> {
  return new Map([...files].filter(([path]) => !pattern.test(path)))
}

async function textsOf(
  folder: string,
  { tokenizer }: GenerateManifest,
  graph: GenerateManifest['graph'],
): Promise<HubFiles> {
  const config = {
    model_type: 'llama',
    num_hidden_layers: graph.layers,
    num_attention_heads: graph.heads,
    num_key_value_heads: graph.kvHeads,
    head_dim: graph.headDim,
    hidden_size: graph.hiddenSize,
    intermediate_size: 384,
    hidden_act: 'silu',
    vocab_size: graph.vocabSize,
    max_position_embeddings: graph.contextLength,
    tie_word_embeddings: true,
  }
  const generation = { bos_token_id: tokenizer.bosTokenId, eos_token_id: tokenizer.eosTokenIds }
  return new Map([
    ['README.md', Buffer.from('# stories\n')],
    ['config.json', Buffer.from(JSON.stringify(config))],
    ['generation_config.json', Buffer.from(JSON.stringify(generation))],
    ['tokenizer.json', await readFile(join(folder, tokenizer.file))],
    ['tokenizer_config.json', await readFile(join(folder, tokenizer.config))],
  ])
}

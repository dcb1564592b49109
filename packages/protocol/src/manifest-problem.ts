import { decoderProblem } from './decoder-problem.ts'
import { isCount, isIndex, isRecord } from './json-shape.ts'
import type { GenerateManifest } from './manifest.ts'
import { inferProblem } from './infer-problem.ts'

const NAME = /^[\w.-]+$/
const SHA256 = /^[0-9a-f]{64}$/

/**
 * Says what is wrong with a parsed `manifest.json`, in one sentence, or `undefined` if it can be trusted to have its
 * declared shape. Fields that we do not know are allowed: a newer minor tool may have written them.
 */
export function manifestProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return 'it is not a JSON object'
  if (value['format'] !== 'tabserve-model') return '"format" must be "tabserve-model"'
  if (value['formatVersion'] !== 1)
    return `"formatVersion" ${String(value['formatVersion'])} is not one that this build reads (1)`
  for (const key of ['name', 'version'] as const) {
    if (typeof value[key] !== 'string' || !NAME.test(value[key])) return `"${key}" must match ${NAME}`
  }
  switch (value['task']) {
    case 'generate':
      return generateProblem(value)
    case 'infer':
      return filesProblem(value['files']) ?? inferProblem(value)
    default:
      return `"task" ${JSON.stringify(value['task'])} is not one of: generate, infer`
  }
}

function generateProblem(value: Readonly<Record<string, unknown>>): string | undefined {
  if (!isCount(value['parameters'])) return '"parameters" must be a positive whole number'
  return (
    graphProblem(value['graph']) ??
    filesProblem(value['files']) ??
    tokenizerProblem(value['tokenizer']) ??
    missingFile(value as unknown as GenerateManifest) ??
    decoderProblem(value as unknown as GenerateManifest)
  )
}

function graphProblem(graph: unknown): string | undefined {
  if (!isRecord(graph)) return '"graph" is missing'
  const filesProblem = graphFilesProblem(graph)
  if (filesProblem !== undefined) return filesProblem
  for (const key of ['architecture', 'file']) {
    if (!isText(graph[key])) return `"graph.${key}" must be a string`
  }
  for (const key of ['layers', 'heads', 'kvHeads', 'headDim', 'hiddenSize', 'vocabSize', 'contextLength']) {
    if (!isCount(graph[key])) return `"graph.${key}" must be a positive whole number`
  }
  return undefined
}

/** What the kinds of graph do not have in common. */
function graphFilesProblem({
  kind,
  weights,
  externalData,
}: Readonly<Record<string, unknown>>): string | undefined {
  switch (kind) {
    case 'decoder-gqa':
      if (!['fp32', 'fp16', 'int8', 'q4'].includes(weights as string))
        return '"graph.weights" must be fp32, fp16, int8 or q4'
      return isText(externalData) ? undefined : '"graph.externalData" must be a string'
    case 'decoder-onnx':
      if (!Array.isArray(externalData) || !externalData.every(isText))
        return '"graph.externalData" must be a list of paths'
      return undefined
    default:
      return `"graph.kind" ${JSON.stringify(kind)} is not one of: decoder-gqa, decoder-onnx`
  }
}

function filesProblem(files: unknown): string | undefined {
  if (!Array.isArray(files) || files.length === 0) return '"files" must list at least one file'
  const seen = new Set<string>()
  for (const file of files) {
    if (!isRecord(file) || typeof file['path'] !== 'string') return 'every entry of "files" needs a "path"'
    const path = file['path']
    if (!isSafePath(path)) return `the path ${JSON.stringify(path)} leaves the model's folder`
    if (seen.has(path)) return `the file ${path} is listed twice`
    seen.add(path)
    if (!isCount(file['bytes'])) return `"bytes" of ${path} must be a positive whole number`
    if (typeof file['sha256'] !== 'string' || !SHA256.test(file['sha256']))
      return `"sha256" of ${path} must be 64 hex digits`
  }
  return undefined
}

function tokenizerProblem(tokenizer: unknown): string | undefined {
  if (!isRecord(tokenizer)) return '"tokenizer" is missing'
  if (typeof tokenizer['file'] !== 'string' || typeof tokenizer['config'] !== 'string')
    return '"tokenizer" needs "file" and "config"'
  if (tokenizer['chatTemplate'] !== undefined && !isText(tokenizer['chatTemplate']))
    return '"tokenizer.chatTemplate" must be a path'
  const eos = tokenizer['eosTokenIds']
  if (!Array.isArray(eos) || !eos.every(isIndex)) return '"tokenizer.eosTokenIds" must be a list of token ids'
  if (typeof tokenizer['addBos'] !== 'boolean') return '"tokenizer.addBos" must be true or false'
  if (tokenizer['addBos'] && !isIndex(tokenizer['bosTokenId']))
    return '"tokenizer.bosTokenId" is needed where addBos is true'
  return undefined
}

function missingFile({ files, graph, tokenizer }: GenerateManifest): string | undefined {
  const listed = new Set(files.map((file) => file.path))
  const used = [graph.file, ...[graph.externalData].flat(), tokenizer.file, tokenizer.config]
  if (tokenizer.chatTemplate !== undefined) used.push(tokenizer.chatTemplate)
  const missing = used.find((path) => !listed.has(path))
  return missing === undefined ? undefined : `it uses ${missing}, which "files" does not list`
}

function isText(value: unknown): value is string {
  return typeof value === 'string' && value !== ''
}

function isSafePath(path: string): boolean {
  return (
    path !== '' &&
    !path.includes('\\') &&
    !path.includes(':') &&
    path.split('/').every((part) => part !== '' && part !== '.' && part !== '..')
  )
}

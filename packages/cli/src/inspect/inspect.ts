import { open, readFile, stat } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import {
  ConvertError,
  describeGguf,
  describeHuggingFace,
  describeModel,
  inspectModel,
} from '@tabserve/convert'
import { readOnnxGraph } from '@tabserve/runtime/onnx-graph'
import { checkpointText } from './checkpoint-text.ts'
import { graphText } from './graph-text.ts'
import { suits } from './suits.ts'

/** What lies at a path, for people. Throws a `ConvertError` where it is nothing that we know. */
export async function inspect(path: string): Promise<string> {
  const found = await stat(path)
  if (!found.isDirectory()) return inspectFile(path)
  if (existsSync(join(path, 'manifest.json'))) return inspectFolder(path)
  if (existsSync(join(path, 'config.json')))
    return checkpointText(
      `Hugging Face folder ${path}`,
      describeHuggingFace(path),
      `tabserve convert hf ${path}`,
    )
  throw new ConvertError(`${path} holds neither a manifest.json nor a config.json: it is no model's folder`)
}

async function inspectFile(path: string): Promise<string> {
  if (basename(path) === 'manifest.json') return inspectFolder(dirname(path))
  if ((await beginningOf(path)) === 'GGUF')
    return checkpointText(`GGUF file ${path}`, describeGguf(path), `tabserve convert gguf ${path}`)
  try {
    return graphText(path, readOnnxGraph(await readFile(path)))
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new ConvertError(`${path} is neither GGUF nor ONNX: ${reason}`)
  }
}

async function inspectFolder(folder: string): Promise<string> {
  const facts = await inspectModel(folder)
  return `${describeModel(facts)}\n\n${suits(facts).join('\n')}`
}

async function beginningOf(path: string): Promise<string> {
  const file = await open(path)
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0)
    return buffer.toString('latin1', 0, bytesRead)
  } finally {
    await file.close()
  }
}

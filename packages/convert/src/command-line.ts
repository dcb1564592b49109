import { basename } from 'node:path'
import { parseArgs } from 'node:util'
import type { VersionPolicy, WeightForm } from '@tabserve/protocol'
import { UsageError } from './convert-error.ts'
import type { GgufOptions } from './convert-gguf.ts'
import type { HuggingFaceOptions } from './convert-huggingface.ts'
import type { Llama2cOptions } from './convert-llama2c.ts'
import { modelName } from './model-name.ts'
import type { RandomOptions, RandomShape } from './random-model.ts'
import type { ModelOptions } from './write-model.ts'

export type Command =
  | { readonly verb: 'help' }
  | { readonly verb: 'inspect'; readonly folder: string }
  | { readonly verb: 'index'; readonly folder: string; readonly versionPolicy: VersionPolicy | undefined }
  | Making<'hf', HuggingFaceOptions>
  | Making<'gguf', GgufOptions>
  | Making<'llama2c', Llama2cOptions>
  | Making<'random', RandomOptions>

interface Making<Verb, Options> {
  readonly verb: Verb
  readonly options: Options
  /** Files whose texts are options too; they are read when the command is run. */
  readonly texts: { readonly chatTemplate: string | undefined; readonly text: string | undefined }
}

/** Words of the command line to a command; anything unknown, missing or left over is a UsageError. */
export function parseCommand(args: readonly string[]): Command {
  const [verb, ...rest] = args
  switch (verb) {
    case 'help':
    case '--help':
    case '-h':
      return { verb: 'help' }
    case 'inspect':
      return { verb, folder: only(parse(rest, {}).positionals, 'FOLDER') }
    case 'index':
      return index(rest)
    case 'hf':
      return huggingFace(rest)
    case 'gguf':
      return gguf(rest)
    case 'llama2c':
      return llama2c(rest)
    case 'random':
      return random(rest)
    default:
      throw new UsageError(verb === undefined ? 'nothing to do' : `unknown command ${JSON.stringify(verb)}`)
  }
}

function index(args: readonly string[]): Command {
  const { values, positionals } = parse(args, { latest: 'string', all: 'boolean', specific: 'string' })
  const numVersions = count(values, 'latest')
  const versions = text(values, 'specific')?.split(',')
  const policies: VersionPolicy[] = [
    ...(numVersions === undefined ? [] : [{ latest: { numVersions } }]),
    ...(values['all'] === true ? [{ all: {} }] : []),
    ...(versions === undefined ? [] : [{ specific: { versions } }]),
  ]
  if (policies.length > 1) throw new UsageError('one of --latest, --all and --specific')
  return { verb: 'index', folder: only(positionals, 'FOLDER'), versionPolicy: policies[0] }
}

const MODEL_OPTIONS = {
  out: 'string',
  name: 'string',
  version: 'string',
  weights: 'string',
  'chat-template': 'string',
  license: 'string',
  description: 'string',
  'logits-split': 'string',
  force: 'boolean',
} as const

const CHECKPOINT_OPTIONS = { ...MODEL_OPTIONS, context: 'string', text: 'string' } as const

function huggingFace(args: readonly string[]): Command {
  const { values, positionals } = parse(args, CHECKPOINT_OPTIONS)
  const folder = only(positionals, 'FOLDER')
  return { verb: 'hf', options: { folder, ...checkpointOptions(values, folder) }, texts: textsOf(values) }
}

function gguf(args: readonly string[]): Command {
  const { values, positionals } = parse(args, CHECKPOINT_OPTIONS)
  const file = only(positionals, 'FILE')
  return { verb: 'gguf', options: { file, ...checkpointOptions(values, file) }, texts: textsOf(values) }
}

/** A model is named like its source where it gets no other name. */
function checkpointOptions(values: Values, path: string): ModelOptions & { readonly contextLength?: number } {
  const contextLength = count(values, 'context')
  return {
    ...modelOptions(
      values,
      text(values, 'name') ?? modelName(basename(path)),
      text(values, 'version') ?? '1',
    ),
    ...(contextLength === undefined ? {} : { contextLength }),
  }
}

function textsOf(values: Values): Making<unknown, unknown>['texts'] {
  return { chatTemplate: text(values, 'chat-template'), text: text(values, 'text') }
}

function llama2c(args: readonly string[]): Command {
  const { values, positionals } = parse(args, { ...MODEL_OPTIONS, tokenizer: 'string' })
  const options = {
    checkpoint: only(positionals, 'CHECKPOINT'),
    tokenizer: required(values, 'tokenizer'),
    ...modelOptions(values, required(values, 'name'), required(values, 'version')),
  }
  return { verb: 'llama2c', options, texts: textsOf(values) }
}

function random(args: readonly string[]): Command {
  const { values, positionals } = parse(args, {
    ...MODEL_OPTIONS,
    shape: 'string',
    context: 'string',
    seed: 'string',
    untied: 'boolean',
  })
  if (positionals.length > 0) throw new UsageError(`unexpected argument ${JSON.stringify(positionals[0])}`)
  const contextLength = count(values, 'context')
  const seed = count(values, 'seed')
  const options = {
    shape: shapeOf(required(values, 'shape')),
    ...(contextLength === undefined ? {} : { contextLength }),
    ...(seed === undefined ? {} : { seed }),
    tied: values['untied'] !== true,
    ...modelOptions(values, text(values, 'name') ?? 'random', text(values, 'version') ?? '1'),
  }
  return { verb: 'random', options, texts: textsOf(values) }
}

type Values = Readonly<Record<string, string | boolean | undefined>>

function modelOptions(values: Values, name: string, version: string): ModelOptions {
  const license = text(values, 'license')
  const description = text(values, 'description')
  const logitsSplit = count(values, 'logits-split')
  return {
    out: required(values, 'out'),
    name,
    version,
    weights: weightForm(required(values, 'weights')),
    force: values['force'] === true,
    ...(license === undefined ? {} : { license }),
    ...(description === undefined ? {} : { description }),
    ...(logitsSplit === undefined ? {} : { logitsSplit }),
  }
}

function parse(
  args: readonly string[],
  types: Readonly<Record<string, 'string' | 'boolean'>>,
): { readonly values: Values; readonly positionals: readonly string[] } {
  const options = Object.fromEntries(Object.entries(types).map(([name, type]) => [name, { type }]))
  try {
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    return { values: values as Values, positionals } // no option is `multiple`
  } catch (error) {
    throw new UsageError(error instanceof Error ? error.message : String(error))
  }
}

function shapeOf(value: string): RandomShape {
  const numbers = value.split('/').map(Number)
  if (numbers.length !== 6 || !numbers.every((number) => Number.isSafeInteger(number) && number > 0)) {
    throw new UsageError('--shape must be six numbers: DIM/LAYERS/HEADS/KV_HEADS/HIDDEN/VOCAB')
  }
  const [hiddenSize = 0, layers = 0, heads = 0, kvHeads = 0, hiddenDim = 0, vocabSize = 0] = numbers
  return { hiddenSize, layers, heads, kvHeads, hiddenDim, vocabSize }
}

function weightForm(value: string): WeightForm {
  if (value === 'fp32' || value === 'fp16' || value === 'int8' || value === 'q4') return value
  throw new UsageError('--weights must be fp32, fp16, int8 or q4')
}

function only(positionals: readonly string[], what: string): string {
  const [first, second] = positionals
  if (first === undefined) throw new UsageError(`${what} is missing`)
  if (second !== undefined) throw new UsageError(`unexpected argument ${JSON.stringify(second)}`)
  return first
}

function required(values: Values, name: string): string {
  const value = text(values, name)
  if (value === undefined) throw new UsageError(`--${name} is missing`)
  return value
}

function text(values: Values, name: string): string | undefined {
  const value = values[name]
  return typeof value === 'string' ? value : undefined
}

function count(values: Values, name: string): number | undefined {
  const value = text(values, name)
  if (value === undefined) return undefined
  const number = Number(value)
  if (!Number.isSafeInteger(number) || number < 1)
    throw new UsageError(`--${name} must be a positive whole number`)
  return number
}

import { spawn } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect, test } from 'playwright/test'
import { manifestProblem, modelIndexProblem } from '@tabserve/protocol'
import { parseCommand } from '../../packages/convert/src/command-line.ts'
import { UsageError, inspectModel, makeRandomModel, writeIndex } from '../../packages/convert/src/index.ts'
import { FIXTURE, checkpointBytes, tokenizerBytes } from '../../packages/convert/test/checkpoint-fixture.ts'

const ROOT = join(import.meta.dirname, '../..')
const STORIES = join(ROOT, 'models/stories')
const SHAPE = { hiddenSize: 32, layers: 2, heads: 2, kvHeads: 1, hiddenDim: 64, vocabSize: 300 }

let folder = ''
test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'convert-cli-'))
})
test.afterEach(() => rm(folder, { recursive: true, force: true }))

function convert(...args: string[]): Promise<{ code: number | null; out: string; error: string }> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'packages/convert/src/cli.ts', ...args], {
    cwd: ROOT,
  })
  let out = ''
  let error = ''
  child.stdout.on('data', (data) => (out += String(data)))
  child.stderr.on('data', (data) => (error += String(data)))
  return new Promise((resolve) => child.on('close', (code) => resolve({ code, out, error })))
}

test('a checkpoint becomes a folder that inspect describes', async () => {
  const path = (name: string): string => join(folder, name)
  await writeFile(path('model.bin'), checkpointBytes(2))
  await writeFile(path('tokenizer.bin'), tokenizerBytes(FIXTURE.vocabSize))
  await writeFile(path('chat.jinja'), '{{ messages[0].content }}')
  const words = [
    '--tokenizer',
    path('tokenizer.bin'),
    '--chat-template',
    path('chat.jinja'),
    '--weights',
    'int8',
  ]
  const named = ['--name', 'tiny', '--version', '2', '--license', 'MIT', '--out', path('tiny')]
  const made = await convert('llama2c', path('model.bin'), ...words, ...named)
  expect(made.error).toBe('')
  expect(made.code).toBe(0)
  expect(made.out).toContain('quantisation error')
  expect((await readdir(path('tiny'))).sort()).toEqual([
    'manifest.json',
    'model.onnx',
    'model.onnx.data',
    'tokenizer.json',
    'tokenizer_config.json',
  ])
  expect(manifestProblem(JSON.parse(await readFile(path('tiny/manifest.json'), 'utf8')))).toBeUndefined()
  const { code, out } = await convert('inspect', path('tiny'))
  expect(code).toBe(0)
  for (const fact of [
    'tiny@2',
    'MIT',
    '2 layers',
    'GroupQueryAttention 2',
    'with chat template',
    'com.microsoft 1',
  ]) {
    expect(out).toContain(fact)
  }
})

test('a model is named like its source where it gets no other name', () => {
  const words = ['--weights', 'q4', '--out', 'x', '--context', '512']
  expect(parseCommand(['gguf', 'models/My Model-q4_0.gguf', ...words])).toMatchObject({
    options: { name: 'My-Model-q4_0', version: '1', contextLength: 512, file: 'models/My Model-q4_0.gguf' },
  })
  expect(parseCommand(['hf', 'models/SmolLM2/', ...words])).toMatchObject({ options: { name: 'SmolLM2' } })
})

test('a wrong command line is a usage error that says what is wrong', () => {
  for (const [args, message] of [
    [[], 'nothing to do'],
    [['onnx'], 'unknown command "onnx"'],
    [['hf', '--weights', 'int8'], 'FOLDER is missing'],
    [['gguf', 'x.gguf', '--weights', 'q4'], '--out is missing'],
    [['gguf', 'x.gguf', '--weights', 'q4', '--out', 'y', '--context', '0'], '--context must'],
    [['llama2c'], 'CHECKPOINT is missing'],
    [['llama2c', 'x.bin'], '--tokenizer is missing'],
    [['llama2c', 'x.bin', 'y.bin'], 'unexpected argument "y.bin"'],
    [['random', '--shape', '1/2/3', '--out', 'x', '--weights', 'int8'], 'six numbers'],
    [['random', '--shape', '32/1/2/1/64/300', '--out', 'x', '--weights', 'int4'], 'fp32, fp16, int8 or q4'],
    [
      ['random', '--shape', '32/1/2/1/64/300', '--out', 'x', '--weights', 'int8', '--seed', 'x'],
      '--seed must',
    ],
    [['inspect', folder, '--loud'], '--loud'],
    [['index', folder, '--all', '--latest', '2'], 'one of'],
    [['index', folder, '--latest', '0'], '--latest must'],
  ] as const) {
    expect(() => parseCommand(args), args.join(' ')).toThrow(UsageError)
    expect(() => parseCommand(args)).toThrow(message)
  }
})

test('the exit code is 2 with the usage for a wrong command line, 1 with one line for what cannot be done', async () => {
  const [wrong, impossible] = await Promise.all([convert('inspect'), convert('inspect', folder)])
  expect(wrong.code).toBe(2)
  expect(wrong.error).toContain('FOLDER is missing')
  expect(wrong.error).toContain('usage: convert')
  expect(impossible.code).toBe(1)
  expect(impossible.error.trim().split('\n')).toEqual([
    expect.stringContaining('manifest.json cannot be read'),
  ])
})

/** `stories` as it is bundled, its manifests only, below `folder`. */
async function copyManifests(): Promise<void> {
  for (const version of ['v1', 'v2']) {
    await mkdir(join(folder, version))
    await copyFile(join(STORIES, version, 'manifest.json'), join(folder, version, 'manifest.json'))
  }
}

test('index lists the versions of a model: of the bundled one as its own index does, which keeps its policy', async () => {
  await copyManifests()
  await mkdir(join(folder, 'recipe')) // no model
  const { code, out } = await convert('index', folder, '--all')
  expect(code).toBe(0)
  expect(out).toContain('stories')
  expect(out).toContain('versions 1 (1.2 MiB), 2 (3.3 MiB)')
  const bundled = await readFile(join(STORIES, 'index.json'), 'utf8')
  expect(await readFile(join(folder, 'index.json'), 'utf8')).toBe(bundled)
  const manifest = JSON.parse(await readFile(join(folder, 'v2/manifest.json'), 'utf8')) as object
  await mkdir(join(folder, '10'))
  await writeFile(join(folder, '10/manifest.json'), JSON.stringify({ ...manifest, version: '10' }))
  const index = await writeIndex(folder)
  expect(modelIndexProblem(index)).toBeUndefined()
  expect(index).toMatchObject({ name: 'stories', versionPolicy: { all: {} } })
  expect(index.versions.map(({ version, path }) => [version, path])).toEqual([
    ['1', 'v1/'],
    ['2', 'v2/'],
    ['10', undefined],
  ])
  const { versionPolicy } = await writeIndex(folder, { specific: { versions: ['2', '10'] } })
  expect(versionPolicy).toEqual({ specific: { versions: ['2', '10'] } })
})

test('index refuses a folder without models, with two, with one twice, and versions that are no numbers', async () => {
  await expect(writeIndex(folder)).rejects.toThrow('no folder')
  await copyManifests()
  const path = join(folder, 'v2/manifest.json')
  const manifest = JSON.parse(await readFile(path, 'utf8')) as object
  for (const [change, words] of [
    [{ name: 'poems' }, 'stories and poems'],
    [{ version: '1' }, 'version 1 is listed twice'],
    [{ version: '1.5' }, 'whole numbers'],
  ] as const) {
    await writeFile(path, JSON.stringify({ ...manifest, ...change }))
    await expect(writeIndex(folder)).rejects.toThrow(words)
  }
  expect(await readdir(folder)).not.toContain('index.json')
})

test('the same random model has the same bytes, another seed has others', async () => {
  const hashes = async (out: string, seed: number): Promise<string[]> => {
    const options = { shape: SHAPE, seed, name: 'random', version: '1', weights: 'q4' } as const
    const { manifest } = await makeRandomModel({ ...options, out: join(folder, out) })
    return manifest.files.map((file) => file.sha256)
  }
  const first = await hashes('a', 1)
  expect(await hashes('b', 1)).toEqual(first)
  expect(await hashes('c', 2)).not.toEqual(first)
})

test('inspect finds files that are changed, cut or gone', async () => {
  const out = join(folder, 'model')
  await makeRandomModel({ shape: SHAPE, out, name: 'random', version: '1', weights: 'int8' })
  expect((await inspectModel(out)).files.map((file) => file.state)).toEqual(['ok', 'ok', 'ok', 'ok'])
  const data = await readFile(join(out, 'model.onnx.data'))
  data[100] = (data[100] ?? 0) ^ 1
  await writeFile(join(out, 'model.onnx.data'), data)
  await writeFile(join(out, 'tokenizer_config.json'), '{}')
  await rm(join(out, 'model.onnx'))
  const facts = await inspectModel(out)
  expect(facts.files.map((file) => file.state)).toEqual(['missing', 'wrong hash', 'ok', 'wrong size'])
  expect(facts.kvBytesPerToken).toBe(2 * 2 * 1 * 16 * 4)
})

import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'

/** Which rooms a room may import, as ARCHITECTURE.md draws them. `dev`, what contributors run, may import anything. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  protocol: [],
  engine: ['protocol'],
  kernels: [],
  runtime: ['engine', 'kernels', 'kernels/assets', 'protocol'],
  worker: ['runtime', 'runtime/extensions', 'engine', 'protocol', 'convert/browser'],
  client: ['protocol', 'engine'],
  convert: ['protocol'],
  cli: ['convert', 'convert/cli', 'dev/serve', 'protocol', 'runtime/onnx-graph'],
  tabserve: [
    'client',
    'client/ai-sdk',
    'client/opentelemetry',
    'client/prometheus',
    'client/prompt-api',
    'client/service-worker',
    'worker',
    'worker/broker',
  ],
}

/** What a page's worker fetches of a room that otherwise runs in Node. */
const BROWSER_ENTRY = 'packages/convert/src/converter.ts'

/** What the command line's benchmark runs in a page. */
const CLI_PAGE = /^packages\/cli\/src\/bench\/(page|figures)\.ts$/

/** Fetched only by who needs it: with `import()`, or for its types. */
const LAZY = '@tabserve/convert/browser'

/** Packages that only these files may import: to replace the package, replace the file. */
const DOORS: Readonly<Record<string, RegExp>> = {
  'onnxruntime-web':
    /^(packages\/(runtime\/src\/backend\/(public-ort|ort-assets|webgpu\/gpu-ort)|convert\/src\/evaluation\/decoder-session)|demo\/bench\/peers\/transformers)\.ts$/,
  comlink: /^packages\/(worker\/src\/host|client\/src\/hub\/link)\.ts$/,
  'idb-keyval': /^packages\/runtime\/src\/storage\/idb-chunk-store\.ts$/,
  'hash-wasm': /^packages\/runtime\/src\/models\/sha256\.ts$/,
  '@mlc-ai/web-xgrammar': /^packages\/runtime\/src\/grammar\/(xgrammar|xgrammar-asset)\.ts$/,
  '@xenova/transformers':
    /^(packages\/runtime\/src\/transformers\/(door|library)|demo\/bench\/peers\/transformers)\.ts$/,
  '@wllama/wllama': /^demo\/bench\/peers\/wllama\.ts$/,
  '@huggingface': /^packages\/(runtime\/src\/tokenizer|convert\/src\/evaluation\/tokenize)\.ts$/,
  '@ai-sdk': /^packages\/client\/src\/doors\/ai-sdk\/[\w-]+\.ts$/,
  playwright: /^packages\/cli\/src\/bench\/find-chromium\.ts$/,
  'workbox-window': /^demo\/pwa\/update\.ts$/,
  '@opentelemetry/api': /^packages\/client\/src\/telemetry\/opentelemetry\/[\w-]+\.ts$/,
  uplot: /^demo\/dashboard\/chart\.ts$/,
  protobufjs: /^packages\/convert\/src\/protobuf\.ts$/,
}

export interface SourceFile {
  /** From the root of the repository, with forward slashes. */
  readonly path: string
  readonly text: string
}

/** What is wrong with the imports of these files, one sentence each. */
export function importProblems(files: readonly SourceFile[]): string[] {
  const inBrowser = reachedFrom(BROWSER_ENTRY, files)
  return files.flatMap(({ path, text }) =>
    [
      ...specifiersOf(text).map((specifier) => problemOf(path, specifier, inBrowser)),
      eagerProblem(path, text),
    ].filter((problem) => problem !== undefined),
  )
}

/** Every source file of the rooms and of the demo. */
export function sourceFiles(root: string): SourceFile[] {
  const rooms = readdirSync(join(root, 'packages')).map((room) => join(root, 'packages', room, 'src'))
  return [...rooms, join(root, 'demo')].flatMap((folder) =>
    readdirSync(folder, { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name))
      .map((entry) => join(entry.parentPath, entry.name))
      .map((path) => ({
        path: relative(root, path).replaceAll('\\', '/'),
        text: readFileSync(path, 'utf8'),
      })),
  )
}

/** A file and all files of its room that it imports, directly or not. */
function reachedFrom(entry: string, files: readonly SourceFile[]): ReadonlySet<string> {
  const texts = new Map(files.map(({ path, text }) => [path, text]))
  const reached = new Set([entry])
  for (const path of reached)
    for (const specifier of specifiersOf(texts.get(path) ?? ''))
      if (specifier.startsWith('.')) reached.add(join(dirname(path), specifier).replaceAll('\\', '/'))
  return reached
}

function eagerProblem(path: string, text: string): string | undefined {
  const isEager = new RegExp(`^(import|export)\\b(?! type\\b)[^'"]*?\\bfrom\\s+'${LAZY}'`, 'm').test(text)
  return isEager && !path.startsWith('packages/dev/')
    ? `${path}: imports ${LAZY} at once; only who converts may fetch it, with import()`
    : undefined
}

function problemOf(path: string, specifier: string, inBrowser: ReadonlySet<string>): string | undefined {
  const room = /^packages\/([\w-]+)\//.exec(path)?.[1]
  if (room === 'dev') return undefined
  if (room === undefined) {
    const isOurs = specifier.startsWith('.') || specifier === 'tabserve' || specifier.startsWith('tabserve/')
    const door = doorOf(specifier)
    return isOurs || (door !== undefined && DOORS[door]?.test(path) === true)
      ? undefined
      : `${path}: imports ${specifier}; a demo may import only tabserve, and a package where it has its door`
  }
  const upwards = (specifier.match(/\.\.\//g) ?? []).length
  if (specifier.startsWith('.')) {
    const depth = path.split('/').length - 4 // folders below packages/room/src
    return upwards > depth ? `${path}: ${specifier} leaves the room; import the package instead` : undefined
  }
  const ours = /^@tabserve\/(.+)$/.exec(specifier)?.[1]
  if (ours !== undefined) {
    const allowed = ROOMS[room] ?? []
    if (allowed.includes(ours)) return undefined
    return `${path}: imports ${specifier}; ${room} may import only ${allowed.join(', ') || 'nothing of ours'}`
  }
  if (specifier.startsWith('node:')) {
    return (room === 'convert' && !inBrowser.has(path)) || (room === 'cli' && !CLI_PAGE.test(path))
      ? undefined
      : `${path}: imports ${specifier}; it runs in the browser`
  }
  const name = doorOf(specifier)
  if (name === undefined)
    return `${path}: imports ${specifier}, which has no door yet; give it one in import-directions.ts`
  return DOORS[name]?.test(path) === true
    ? undefined
    : `${path}: imports ${specifier}; only its door ${DOORS[name]} may`
}

function doorOf(specifier: string): string | undefined {
  return Object.keys(DOORS).find((known) => specifier === known || specifier.startsWith(`${known}/`))
}

function specifiersOf(text: string): string[] {
  const statements = text.matchAll(
    /^(?:import|export)\b[^'"]*?\bfrom\s+'([^']+)'|^import\s+'([^']+)'|\bimport\('([^']+)'\)/gm,
  )
  return [...statements].map(([, from, bare, dynamic]) => from ?? bare ?? dynamic ?? '')
}

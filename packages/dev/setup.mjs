/**
 * What every command of the README runs first: plain JavaScript without dependencies, because nothing is installed yet.
 * Brings pnpm at the pinned version, the packages of the lockfile and, where needed, a browser; then does the command.
 */
import { spawn, spawnSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../..')
const BIN = join(ROOT, 'node_modules/.bin')
const STAMP = join(ROOT, 'node_modules/.tabserve-setup')
const TEST_CONFIG = join(ROOT, 'test/playwright.config.ts')

// TypeDoc has a TypeScript of its own, so it is not among the workspace's programs.
const DOCS = ['../../packages/docs/node_modules/.bin/typedoc', '--options', 'packages/docs/typedoc.json']

/** Each command as steps that run one after the other, until one fails. The last one gets the command line's arguments. */
const COMMANDS = {
  start: {
    steps: [
      ['vite', 'build', '--logLevel', 'warn'],
      ['tsx', 'packages/dev/src/start.ts'],
    ],
  },
  test: {
    browser: true,
    steps: [
      ['tsc', '--noEmit'],
      ['prettier', '--check', '--log-level', 'warn', '.'],
      ['tsx', 'packages/dev/src/audit.ts'],
      [...DOCS, '--logLevel', 'Warn'],
      ['vite', 'build', '--mode', 'test', '--logLevel', 'warn'],
      ['playwright', 'test', '-c', TEST_CONFIG],
    ],
  },
  generate: {
    browser: true,
    steps: [
      ['vite', 'build', '--logLevel', 'warn'],
      ['tsx', 'packages/dev/src/generate.ts'],
    ],
  },
  bench: {
    browser: true,
    steps: [
      ['vite', 'build', '--mode', 'test', '--logLevel', 'warn'],
      ['tsx', 'packages/dev/src/bench.ts'],
    ],
  },
  convert: {
    steps: [['tsx', join(ROOT, 'packages/convert/src/cli.ts')]],
    where: process.env.INIT_CWD ?? process.cwd(),
  },
  docs: { steps: [DOCS] },
}

const [name = '', ...args] = process.argv.slice(2)
const command = COMMANDS[name]
if (command === undefined) fail(`Unknown command ${name}. There are: ${Object.keys(COMMANDS).join(', ')}.`)
checkNode()
install()
if (command.browser) process.env.TABSERVE_CHROMIUM = await browser()
for (const [index, [program, ...own]] of command.steps.entries()) {
  const last = index === command.steps.length - 1
  const code = await run(join(BIN, program), [...own, ...(last ? args : [])], command.where ?? ROOT)
  if (code !== 0) process.exit(code)
}

function checkNode() {
  const [major = 0, minor = 0] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19))
    fail(`Node ${process.versions.node} is too old: tabserve needs 20.19 or newer.`)
}

/** Installs from the lockfile, unless what is installed was installed from this very lockfile. */
function install() {
  const manifests = ['package.json', 'pnpm-lock.yaml', 'pnpm-workspace.yaml', ...packageFiles()]
  const hash = createHash('sha256')
  for (const file of manifests) hash.update(readFileSync(join(ROOT, file)))
  const wanted = hash.digest('hex')
  if (existsSync(STAMP) && readFileSync(STAMP, 'utf8') === wanted) return
  const pnpm = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).packageManager
  console.log(`Installing packages with ${pnpm}.`)
  const npx = ['exec', '--yes', '--loglevel=error', `--package=${pnpm}`, '--', 'pnpm']
  const { status } = spawnSync('npm', [...npx, 'install', '--frozen-lockfile', '--reporter=silent'], {
    cwd: ROOT,
    stdio: 'inherit',
    shell: process.platform === 'win32',
  })
  if (status !== 0) fail('The packages could not be installed. Is the npm registry reachable?')
  writeFileSync(STAMP, wanted)
}

function packageFiles() {
  return readdirSync(join(ROOT, 'packages'))
    .map((room) => `packages/${room}/package.json`)
    .filter((file) => existsSync(join(ROOT, file)))
}

async function browser() {
  const { findBrowser } = await import('./browser.mjs')
  return findBrowser(ROOT).catch((error) => fail(error.message))
}

/** Runs a program to its end; Ctrl-C reaches it as well as us, and we wait for it. */
function run(program, programArgs, cwd) {
  return new Promise((resolve) => {
    const child = spawn(program, programArgs, { cwd, stdio: 'inherit', shell: process.platform === 'win32' })
    const forward = (signal) => child.kill(signal)
    process.on('SIGINT', forward).on('SIGTERM', forward)
    child.on('error', (error) => fail(error.message))
    child.on('exit', (code, signal) => {
      process.off('SIGINT', forward).off('SIGTERM', forward)
      resolve(code ?? (signal === null ? 1 : 130))
    })
  })
}

function fail(message) {
  console.error(message)
  process.exit(1)
}

import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { delimiter, join } from 'node:path'

const NAMES = ['chromium', 'chromium-browser', 'google-chrome-stable', 'google-chrome']
const MAC = [
  '/Applications/Google Chrome.app/Contents/MacOS/Google Chrome',
  '/Applications/Chromium.app/Contents/MacOS/Chromium',
]
const INSTALL_LIMIT_MS = 180_000

/**
 * The path of a Chromium: the one that TABSERVE_CHROMIUM names, Playwright's, the system's, or one installed now, by
 * Playwright or as Debian's package. Throws with advice when none is to be had.
 */
export async function findBrowser(root) {
  return (
    process.env.TABSERVE_CHROMIUM ??
    (await playwrights()) ??
    systems() ??
    (await installed(root)) ??
    debians() ??
    none()
  )
}

async function playwrights() {
  const { chromium } = await import('playwright')
  const path = chromium.executablePath()
  return path !== '' && existsSync(path) ? path : undefined
}

function systems() {
  const folders = (process.env.PATH ?? '').split(delimiter)
  return [...folders.flatMap((folder) => NAMES.map((name) => join(folder, name))), ...MAC].find((path) =>
    existsSync(path),
  )
}

async function installed(root) {
  console.log('No Chromium found: asking Playwright to install one.')
  const cli = join(root, 'node_modules/playwright/cli.js')
  const rootOnLinux = process.platform === 'linux' && process.getuid?.() === 0
  run(process.execPath, [cli, 'install', ...(rootOnLinux ? ['--with-deps'] : []), 'chromium'])
  return playwrights()
}

function debians() {
  if (process.getuid?.() !== 0 || !existsSync('/usr/bin/apt-get')) return undefined
  console.log("Playwright could not: installing Debian's package chromium.")
  run('apt-get', ['update'])
  run('apt-get', ['install', '-y', '--no-install-recommends', 'chromium', 'fonts-dejavu-core'])
  return systems()
}

function none() {
  throw new Error(
    'No Chromium could be found or installed. Install one and name its path in TABSERVE_CHROMIUM.',
  )
}

/** Failing is an answer here: the next way is tried. */
function run(command, args) {
  spawnSync(command, args, {
    stdio: 'ignore',
    timeout: INSTALL_LIMIT_MS,
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
}

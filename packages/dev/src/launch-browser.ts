import { spawn } from 'node:child_process'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { BrowserContext } from 'playwright'
import { chromium } from 'playwright'
import { findBrowser } from '../browser.mjs'

/** Quiet, headless, and without a sandbox: containers have no user namespaces. */
const ARGS = [
  '--headless=new',
  '--no-sandbox',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
]

/** Lets Chromium's own software adapter (SwiftShader) answer for a GPU: for correctness, not for speed. */
export const SOFTWARE_GPU = '--enable-unsafe-webgpu'

/**
 * A Chromium with a profile of its own, removed at the end, or with the given one, which stays. Not `newContext()`: that is incognito, whose storage has other limits.
 */
export async function launchPersistent(
  args: readonly string[] = [],
  given?: string,
): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const profile = given ?? (await mkdtemp(join(tmpdir(), 'tabserve-profile-')))
  const executablePath = await findBrowser(join(import.meta.dirname, '../../..'))
  const context = await chromium.launchPersistentContext(profile, {
    args: [...ARGS, ...args],
    ignoreDefaultArgs: ['--disable-gpu'],
    executablePath,
  })
  return {
    context,
    async close() {
      await context.close()
      if (given === undefined) await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

/**
 * A Chromium whose tabs are as people have them: those that are not in front are hidden, and can be frozen. The one that Playwright starts has every tab
 * believe that it is in front.
 */
export async function launchWithHiddenTabs(): Promise<{ context: BrowserContext; close(): Promise<void> }> {
  const profile = await mkdtemp(join(tmpdir(), 'tabserve-profile-'))
  const executablePath = await findBrowser(join(import.meta.dirname, '../../..'))
  const args = [...ARGS, '--remote-debugging-port=0', `--user-data-dir=${profile}`, 'about:blank']
  const child = spawn(executablePath, args, { stdio: ['ignore', 'ignore', 'pipe'] })
  const ended = new Promise<never>((_, reject) => {
    child.once('error', reject)
    child.once('exit', () => reject(new Error('the browser ended')))
  })
  ended.catch(() => {}) // heard while it starts; later it is what was asked for
  const endpoint = new Promise<string>((resolve) => {
    let said = ''
    child.stderr.on('data', (data) => {
      const address = /ws:\/\/\S+/.exec((said += String(data)))
      if (address !== null) resolve(address[0])
    })
  })
  const browser = await chromium.connectOverCDP(await Promise.race([endpoint, ended]), { noDefaults: true })
  const [context] = browser.contexts()
  if (context === undefined) throw new Error('a browser without a context')
  return {
    context,
    async close() {
      await browser.close()
      const gone = ended.catch(() => {}) // that is what we wait for
      child.kill()
      await gone
      await rm(profile, { recursive: true, force: true, maxRetries: 5 })
    },
  }
}

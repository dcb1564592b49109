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

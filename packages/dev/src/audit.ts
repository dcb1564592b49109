import { spawnSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'

const ROOT = join(import.meta.dirname, '../../..')
const LIMIT_MS = 60_000

interface Report {
  readonly error?: { readonly code?: string; readonly message?: string }
  readonly metadata?: { readonly vulnerabilities: Readonly<Record<string, number>> }
}

/**
 * `npm run audit`: known holes in what is published or runs in a page. Exits with 1 on one that is high or critical; where the registry has no answer it says so and
 * exits with 0, for that is no hole.
 */
const { packageManager } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')) as {
  packageManager: string
}
const npx = ['exec', '--yes', '--loglevel=error', `--package=${packageManager}`, '--', 'pnpm']
const { stdout, stderr } = spawnSync('npm', [...npx, 'audit', '--prod', '--json'], {
  cwd: ROOT,
  encoding: 'utf8',
  timeout: LIMIT_MS,
})
const report = parsed(stdout)
const counts = report?.metadata?.vulnerabilities
if (counts === undefined) {
  const reason = report?.error?.message ?? (stderr.trim().split('\n')[0] || 'no answer')
  console.log(`audit skipped: the registry's audit endpoint is not reachable (${reason})`)
} else {
  const found = Object.entries(counts).map(([severity, count]) => `${count} ${severity}`)
  console.log(`audit: ${found.join(', ')}`)
  if ((counts['high'] ?? 0) + (counts['critical'] ?? 0) > 0) {
    console.error(stdout)
    process.exitCode = 1
  }
}

function parsed(text: string): Report | undefined {
  try {
    return JSON.parse(text) as Report
  } catch {
    return undefined // no report came: the caller says so
  }
}

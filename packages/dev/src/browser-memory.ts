import { readFileSync, readdirSync, writeFileSync } from 'node:fs'

/** Memory of the browsers that this process has started: Linux alone tells it. */
export interface MemoryGrowth {
  /** Of the processes that run pages and their workers. */
  readonly pageBytes: number
  /** Of all others together: what stores and reads files, draws, fetches. */
  readonly otherBytes: number
}

/** Returns how much more than now the browser's processes have held at their fullest since. `undefined` where the system does not tell. */
export function watchBrowserMemory(): (() => MemoryGrowth) | undefined {
  if (process.platform !== 'linux') return undefined
  const before = new Map(browserProcesses().map(({ pid }) => [pid, statusOf(pid, 'VmRSS')]))
  for (const pid of before.keys()) writeFileSync(`/proc/${pid}/clear_refs`, '5') // the peak begins anew (proc(5))
  return () => {
    const growth = { page: 0, other: 0 }
    for (const { pid, kind } of browserProcesses())
      growth[kind] += Math.max(0, statusOf(pid, 'VmHWM') - (before.get(pid) ?? 0))
    return { pageBytes: growth.page, otherBytes: growth.other }
  }
}

/** Bytes that the processes of pages and their workers hold now for themselves alone. `undefined` where the system does not tell. */
export function pageMemory(): number | undefined {
  if (process.platform !== 'linux') return undefined
  const pages = browserProcesses().filter(({ kind }) => kind === 'page')
  return pages.reduce((sum, { pid }) => sum + statusOf(pid, 'RssAnon'), 0)
}

function browserProcesses(): { readonly pid: string; readonly kind: 'page' | 'other' }[] {
  return descendants(String(process.pid)).flatMap((pid) => {
    const command = read(`/proc/${pid}/cmdline`)
    if (!/chrom/i.test(command.split('\0')[0] ?? '')) return []
    return [{ pid, kind: command.includes('--type=renderer') ? ('page' as const) : ('other' as const) }]
  })
}

function descendants(ancestor: string): string[] {
  const parents = new Map(
    readdirSync('/proc')
      .filter((name) => /^\d+$/.test(name))
      .map((pid) => [pid, /^PPid:\s*(\d+)/m.exec(read(`/proc/${pid}/status`))?.[1]]),
  )
  const descends = (pid: string | undefined): boolean =>
    pid !== undefined && (pid === ancestor || descends(parents.get(pid)))
  return [...parents.keys()].filter((pid) => pid !== ancestor && descends(pid))
}

function statusOf(pid: string, field: 'VmRSS' | 'VmHWM' | 'RssAnon'): number {
  const kilobytes = new RegExp(`^${field}:\\s*(\\d+) kB`, 'm').exec(read(`/proc/${pid}/status`))?.[1]
  return 1024 * Number(kilobytes ?? 0)
}

/** Empty for a process that has ended meanwhile. */
function read(path: string): string {
  try {
    return readFileSync(path, 'utf8')
  } catch {
    return ''
  }
}

import { soak as runSoak } from '../soak/soak.ts'
import type { Figure, Suite } from './figure.ts'

const SECONDS = 600

/** Not how fast, but how long: whether anything is lost, mixed up or left behind. Throws what it finds. */
export const soak: Suite = {
  about:
    '24 people for ten minutes; a worker dies, the model sleeps, a tab closes; fails if anything is lost or grows',
  async run({ openPage, log }) {
    const report = await runSoak({ seconds: SECONDS, heaps: 'page and workers', openPage, log })
    const { visits, before, after, longestTaskMs, problems } = report
    if (problems.length > 0) throw new Error(['The soak has failed:', ...problems.slice(0, 20)].join('\n'))
    const figure = (what: string, metric: string, value: number, unit: string): Figure => ({
      suite: 'soak',
      case: what,
      metric,
      value,
      unit,
    })
    const asked = new Map<string, number>()
    for (const visit of visits)
      for (const [kind, count] of Object.entries(visit.asked)) asked.set(kind, (asked.get(kind) ?? 0) + count)
    return [
      ...[...asked].map(([kind, count]) => figure(kind, 'asked', count, 'times')),
      ...Object.entries(before).map(([what, value]) => figure(what, 'before', value, '')),
      ...Object.entries(after).map(([what, value]) => figure(what, 'after', value, '')),
      figure('main thread', 'longest task', longestTaskMs, 'ms'),
    ]
  },
}

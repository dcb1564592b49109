import type { Split, SplitChoice, SplitReport } from '@tabserve/protocol'

/** By so much a split with more replicas must be faster: each costs the weights once more, and a lone answer has fewer threads. */
const LEAST_GAIN = 1.05

/** The fastest split; more replicas than another only where they are faster by 5 %. @param candidates fewest replicas first; the first one was measured. */
export function splitVerdict(candidates: readonly SplitReport[]): Omit<SplitChoice, 'by'> {
  const [first, ...others] = candidates
  if (first === undefined) throw new Error('a verdict on no split')
  const best = others.reduce((best, other) => (rate(other) >= LEAST_GAIN * rate(best) ? other : best), first)
  const { replicas, threads } = best
  return { replicas, threads, reason: reasonOf(best, candidates), candidates }
}

function rate({ tokensPerSecond = 0 }: SplitReport): number {
  return tokensPerSecond
}

function reasonOf(best: SplitReport, candidates: readonly SplitReport[]): string {
  const words = (report: SplitReport) =>
    report.tokensPerSecond === undefined
      ? `${nameOf(report)}: ${report.problem}`
      : `${Math.round(report.tokensPerSecond)} tokens/s with ${nameOf(report)}`
  const rest = candidates.filter((report) => report !== best).map(words)
  return `measured ${[words(best), ...rest].join(', ')}`
}

function nameOf({ replicas, threads }: Split): string {
  return `${replicas} × ${threads} thread${threads === 1 ? '' : 's'}`
}

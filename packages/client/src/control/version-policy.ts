import type { VersionPolicy } from '@tabserve/protocol'
import { EngineError, versionPolicyProblem } from '@tabserve/protocol'

const LATEST: VersionPolicy = { latest: { numVersions: 1 } }

/**
 * The versions that a policy offers of those that there are, oldest first. Names that are not positive whole numbers without leading zeros are
 * passed over. Throws `bad_request` for a wrong policy, `model_not_found` for a version that it names and that is not there.
 */
export function offeredVersions(
  versions: readonly string[],
  policy: VersionPolicy = LATEST,
): readonly string[] {
  const problem = versionPolicyProblem(policy)
  if (problem !== undefined) throw new EngineError('bad_request', `versionPolicy: ${problem}.`)
  const available = versions.filter(isVersion).sort(compareVersions)
  if ('all' in policy) return available
  if ('latest' in policy) return available.slice(-policy.latest.numVersions)
  const wanted = policy.specific.versions
  const missing = wanted.find((version) => !available.includes(version))
  if (missing === undefined) return available.filter((version) => wanted.includes(version))
  const there = available.join(', ') || 'none'
  throw new EngineError('model_not_found', `There is no version ${missing}. Versions: ${there}.`)
}

/** Older first. Versions of models that no index lists may have any name; numbers come before those. */
export function compareVersions(one: string, other: string): number {
  if (isVersion(one) && isVersion(other)) return one.length - other.length || (one < other ? -1 : 1)
  if (isVersion(one) !== isVersion(other)) return isVersion(one) ? -1 : 1
  return one < other ? -1 : Number(one > other)
}

function isVersion(name: string): boolean {
  return /^[1-9]\d*$/.test(name)
}

import { isCount, isRecord } from './json-shape.ts'

/** `index.json` beside the version folders of a model: what versions there are. A browser cannot list a folder. */
export interface ModelIndex {
  readonly format: 'tabserve-model-index'
  readonly formatVersion: 1
  /** As the manifests of all versions say. */
  readonly name: string
  /** Which versions are offered, unless whoever registers the model says otherwise. Default: the latest one. */
  readonly versionPolicy?: VersionPolicy
  readonly versions: readonly ModelIndexEntry[]
}

/** One version of a model. */
export interface ModelIndexEntry {
  /** A positive whole number without leading zeros. Others are passed over, as Triton passes over folders with such names. */
  readonly version: string
  /** The version's folder, relative to the index, with a slash at its end. Default: the version. */
  readonly path?: string
  /** All files of the version together. Default: unknown until its manifest is read. */
  readonly bytes?: number
}

/** Which versions of a model are offered, in Triton's words: the newest `numVersions`, all, or just these. */
export type VersionPolicy =
  | { readonly latest: { readonly numVersions: number } }
  | { readonly all: Readonly<Record<never, never>> }
  | { readonly specific: { readonly versions: readonly string[] } }

const NAME = /^[\w.-]+$/
/** Folders below the index: no scheme, no host, no way up. */
const FOLDER = /^(?:(?!\.\.?\/)[\w.-]+\/)+$/

/** Says what is wrong with a parsed `index.json`, in one sentence. Fields that we do not know are allowed. */
export function modelIndexProblem(value: unknown): string | undefined {
  if (!isRecord(value)) return 'it is not a JSON object'
  if (value['format'] !== 'tabserve-model-index') return '"format" must be "tabserve-model-index"'
  if (value['formatVersion'] !== 1)
    return `"formatVersion" ${String(value['formatVersion'])} is not one that this build reads (1)`
  if (typeof value['name'] !== 'string' || !NAME.test(value['name'])) return `"name" must match ${NAME}`
  const policy = value['versionPolicy']
  return (
    (policy === undefined ? undefined : versionPolicyProblem(policy)) ?? versionsProblem(value['versions'])
  )
}

/** Says what is wrong with a version policy, in one sentence. */
export function versionPolicyProblem(policy: unknown): string | undefined {
  const [kind, ...others] = isRecord(policy) ? Object.entries(policy) : []
  if (kind === undefined || others.length > 0 || !isRecord(kind[1]))
    return 'a version policy is one of: { latest: { numVersions } }, { all: {} }, { specific: { versions } }'
  const [name, value] = kind
  switch (name) {
    case 'all':
      return undefined
    case 'latest':
      return isCount(value['numVersions'])
        ? undefined
        : '"latest.numVersions" must be a positive whole number'
    case 'specific':
      return Array.isArray(value['versions']) && value['versions'].every((each) => typeof each === 'string')
        ? undefined
        : '"specific.versions" must be a list of strings'
    default:
      return `a version policy has no kind ${name}: there are latest, all and specific`
  }
}

function versionsProblem(versions: unknown): string | undefined {
  if (!Array.isArray(versions)) return '"versions" must be a list'
  const seen = new Set<string>()
  for (const entry of versions) {
    if (!isRecord(entry) || typeof entry['version'] !== 'string')
      return 'every entry of "versions" needs a "version", a string'
    const { version, path, bytes } = entry
    if (seen.has(version as string)) return `version ${String(version)} is listed twice`
    seen.add(version as string)
    if (path !== undefined && !(typeof path === 'string' && FOLDER.test(path)))
      return `the path ${JSON.stringify(path)} is not a folder below the index`
    if (bytes !== undefined && !isCount(bytes))
      return `"bytes" of version ${String(version)} must be a positive whole number`
  }
  return undefined
}

import type { Manifest, StoredModel, Verification } from '@tabserve/protocol'
import type { ModelRecord } from '../storage/model-record.ts'
import type { FileIdentity } from '../storage/stored-file.ts'
import type { WeightStore } from '../storage/weight-store.ts'
import type { HubPreview } from './hub/hub-repository.ts'
import { idOf, parseManifest } from './manifest-text.ts'

type KeptBytes = ReadonlyMap<string, number>

/** A model that the store knows. @param kept bytes of each file that are there, by hash. */
export function describe(
  { address, id, files, manifest, isPinned, usedAt }: ModelRecord,
  kept: KeptBytes,
): StoredModel {
  return { ...sizes(address, id, files, kept), isPinned, usedAt, ...originOf(manifest) }
}

/** A model that it does not; other models may have brought some of its files. */
export function describeAbsent(address: string, manifest: Manifest, kept: KeptBytes): StoredModel {
  return { ...sizes(address, idOf(manifest), manifest.files, kept), isPinned: false }
}

/** A repository that it does not know. */
export function describePreview(
  address: string,
  { id, files, source }: HubPreview,
  kept: KeptBytes,
): StoredModel {
  return { ...sizes(address, id, files, kept), isPinned: false, hub: source }
}

/** Reads every chunk that the store has of a model. Reading strikes what is wrong from the journals. */
export async function verifyModel(
  store: WeightStore,
  { manifest, address }: ModelRecord,
): Promise<Verification> {
  const damaged: string[] = []
  let checkedBytes = 0
  for (const { path, ...identity } of parseManifest(manifest, address).files) {
    const file = await store.file(identity)
    for (let index = 0; index < file.numChunks; index++) {
      checkedBytes += (await file.read(index))?.byteLength ?? 0
    }
    if (!file.isWhole) damaged.push(path)
  }
  return { isRight: damaged.length === 0, checkedBytes, damaged }
}

/** Nobody but its manifest says what its files must be. */
export function isFirstUse({ manifest }: ModelRecord): boolean {
  if (originOf(manifest).hub?.trust === 'first-use') return true
  return trustOf(manifest) === 'first-use'
}

function trustOf(manifest: string): unknown {
  try {
    return (JSON.parse(manifest) as Partial<Manifest>).trust
  } catch {
    return undefined // a load says why
  }
}

/** What cannot be read says nothing here; a load says why. */
function originOf(manifest: string): Pick<StoredModel, 'hub'> {
  try {
    const { source } = JSON.parse(manifest) as Partial<Manifest>
    return source === undefined ? {} : { hub: source }
  } catch {
    return {}
  }
}

/** @param files of which a hash may be unknown as long as nothing of them is there. */
function sizes(
  url: string,
  id: string,
  files: readonly (Omit<FileIdentity, 'sha256'> & Partial<FileIdentity>)[],
  kept: KeptBytes,
) {
  const totalBytes = files.reduce((sum, { bytes }) => sum + bytes, 0)
  const storedBytes = files.reduce((sum, { sha256 }) => sum + (kept.get(sha256 ?? '') ?? 0), 0)
  const missingBytes = totalBytes - storedBytes
  const state = missingBytes === 0 ? 'stored' : storedBytes === 0 ? 'absent' : 'partial'
  return { url, id, totalBytes, storedBytes, missingBytes, state } as const
}

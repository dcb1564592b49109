import type { Manifest } from '@tabserve/protocol'
import { EngineError, manifestProblem } from '@tabserve/protocol'

export const MANIFEST = 'manifest.json'

/** Reads a manifest. Throws `bad_model`. @param folder where it is from, for the message. */
export function parseManifest(text: string, folder: string): Manifest {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw badManifest(folder, 'it is not JSON', cause)
  }
  const problem = manifestProblem(value)
  if (problem !== undefined) throw badManifest(folder, problem)
  return value as Manifest // manifestProblem has looked at every field
}

/** What requests call a model. */
export function idOf({ name, version }: Manifest): string {
  return `${name}@${version}`
}

export function totalBytes({ files }: Manifest): number {
  return files.reduce((sum, file) => sum + file.bytes, 0)
}

function badManifest(folder: string, problem: string, cause?: unknown): EngineError {
  const message = `${folder}${MANIFEST} is not the manifest of a tabserve model: ${problem}. Make the folder with \`convert\`.`
  return new EngineError('bad_model', message, { file: MANIFEST, cause })
}

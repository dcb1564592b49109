import { sha256Of } from '../sha256.ts'
import type { HubFile } from './listing.ts'

/**
 * What a file is kept under while its hash is not known: another one as soon as its address, its size or its validator is another. Without a validator never
 * twice the same, so that nothing goes on with a file that may have changed.
 */
export function provisionalId(folder: string, { path, bytes, validator }: HubFile): Promise<string> {
  const facts = [
    'first use',
    folder,
    path,
    bytes,
    validator ?? crypto.getRandomValues(new Uint32Array(8)).join('-'),
  ]
  return sha256Of(new TextEncoder().encode(facts.join('\n')))
}

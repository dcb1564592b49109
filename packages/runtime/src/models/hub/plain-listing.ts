import type { HubModel } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { MANIFEST } from '../manifest-text.ts'
import { encodedPath } from '../small-file.ts'
import type { HubClient } from './hub-client.ts'
import type { HubFile, Listing } from './listing.ts'

/**
 * A repository of a server without API: a plain mirror (`{hub}/resolve/{revision}/…`) or a folder of static files (`{hub}/…`). Files are asked for one by
 * one, and nobody says what their hashes are. Throws `model_not_found` where neither is there.
 */
export async function plainListing(client: HubClient, model: HubModel): Promise<Listing> {
  const { hub, revision, baseUrl } = model
  const mirror = `${baseUrl}${hub}/resolve/${encodeURIComponent(revision)}/`
  // A static folder is one version: of another revision it knows nothing.
  const folders = revision === 'main' ? [mirror, `${baseUrl}${hub}/`] : [mirror]
  for (const folder of folders) {
    for (const name of ['config.json', MANIFEST])
      if ((await client.read(folder + name, name)) !== undefined) return listingOf(client, folder)
  }
  const tried = folders.map((folder) => `${folder}config.json`).join(' and ')
  const message = `There is no repository ${hub} with a revision ${revision} at ${baseUrl} (asked its API, and for ${tried}). Check the name, and \`baseUrl\` and \`revision\` where you gave them.`
  throw new EngineError('model_not_found', message, { file: 'config.json' })
}

function listingOf(client: HubClient, folder: string): Listing {
  const asked = new Map<string, Promise<HubFile | undefined>>()
  const ask = async (path: string): Promise<HubFile | undefined> => {
    const found = await client.head(folder + encodedPath(path), path)
    return found === undefined ? undefined : { path, ...found }
  }
  return {
    folder,
    find(path) {
      const answer = asked.get(path) ?? ask(path)
      asked.set(path, answer)
      return answer
    },
    read: (path) => client.read(folder + encodedPath(path), path),
  }
}

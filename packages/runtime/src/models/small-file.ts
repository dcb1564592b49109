import type { Http, HttpAnswer, HttpRequest } from './http.ts'
import type { RetryPolicy } from './retry.ts'
import { Retries } from './retry.ts'

/** One file that is small enough to be held, tried again where that may help. Throws as `Http.get` does, never `TransientFailure`. */
export async function readWhole(
  http: Http,
  url: string,
  request: HttpRequest,
  policy: RetryPolicy,
): Promise<{ readonly bytes: Uint8Array<ArrayBuffer>; readonly answer: HttpAnswer }> {
  const retries = new Retries(policy, request.signal, () => {})
  for (;;) {
    try {
      const answer = await http.get(url, request)
      const pieces: Uint8Array[] = []
      for await (const piece of answer.pieces()) pieces.push(piece)
      const bytes = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer())
      return { bytes, answer }
    } catch (error) {
      await retries.wait(error)
    }
  }
}

/** A path as part of an address: `#`, `?` and `%` in it are letters. */
export function encodedPath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

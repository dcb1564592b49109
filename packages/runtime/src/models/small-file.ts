import { EngineError } from '@tabserve/protocol'
import type { Http, HttpAnswer, HttpRequest } from './http.ts'
import type { RetryPolicy } from './retry.ts'
import { Retries } from './retry.ts'

/** Manifests, listings, tokenizers: the largest in use has some 40 MB. What is compressed counts as it is unpacked. */
const MAX_BYTES = 2 ** 27

/**
 * One file that is small enough to be held, tried again where that may help. Throws as `Http.get` does, never `TransientFailure`; `bad_model` for what does
 * not end.
 */
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
      let numBytes = 0
      for await (const piece of answer.pieces()) {
        numBytes += piece.byteLength
        if (numBytes > MAX_BYTES) throw tooLarge(url, request.name)
        pieces.push(piece)
      }
      const bytes = new Uint8Array(await new Blob(pieces as BlobPart[]).arrayBuffer())
      return { bytes, answer }
    } catch (error) {
      await retries.wait(error)
    }
  }
}

function tooLarge(url: string, file: string): EngineError {
  const message = `${url} has more than ${MAX_BYTES} bytes, which no file of its kind has. Nothing of it was kept.`
  return new EngineError('bad_model', message, { file })
}

/** A path as part of an address: `#`, `?` and `%` in it are letters. */
export function encodedPath(path: string): string {
  return path.split('/').map(encodeURIComponent).join('/')
}

import type { ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { streamingSha256 } from './sha256.ts'

/** Fetches a text file of a model folder. Throws `model_not_found`, `network` or `aborted`. */
export async function downloadText(url: string, name: string, signal: AbortSignal): Promise<string> {
  const response = await request(url, name, signal, 'no-cache')
  return reading(url, name, signal, () => response.text())
}

/**
 * Fetches one file of a model and returns its bytes only if they are what the manifest promises.
 * Throws `model_not_found`, `integrity`, `network` or `aborted`, with the file's name.
 * @param onBytes called with the size of each piece that arrives.
 */
export async function downloadFile(
  folder: string,
  file: ManifestFile,
  signal: AbortSignal,
  onBytes: (bytes: number) => void,
): Promise<Uint8Array<ArrayBuffer>> {
  const url = new URL(file.path, folder).href
  // `no-store`: the weight store keeps it; a second copy in the HTTP cache would only take room, and could be a bad one.
  const response = await request(url, file.path, signal, 'no-store')
  const bytes = new Uint8Array(file.bytes)
  const hash = await streamingSha256()
  const received = await reading(url, file.path, signal, async () => {
    let length = 0
    for await (const piece of piecesOf(response)) {
      if (length + piece.byteLength > file.bytes) return length + piece.byteLength
      bytes.set(piece, length)
      hash.update(piece)
      length += piece.byteLength
      onBytes(piece.byteLength)
    }
    return length
  })
  if (received !== file.bytes) {
    const found = received > file.bytes ? 'more' : `only ${received}`
    throw integrity(url, file, `The manifest promises ${file.bytes} bytes and ${found} came.`)
  }
  const sha256 = hash.hex()
  if (sha256 !== file.sha256)
    throw integrity(url, file, `Its SHA-256 is ${sha256}, the manifest says ${file.sha256}.`)
  return bytes
}

async function request(
  url: string,
  name: string,
  signal: AbortSignal,
  cache: RequestCache,
): Promise<Response> {
  const response = await reading(url, name, signal, () =>
    fetch(url, { signal, cache, credentials: 'same-origin' }),
  )
  if (response.ok) return response
  await response.body?.cancel()
  const code = response.status === 404 || response.status === 410 ? 'model_not_found' : 'network'
  throw new EngineError(
    code,
    `${url} answered ${response.status}. Check the model's address and that ${name} is there.`,
    { file: name },
  )
}

/** Runs one piece of network work and gives its failure our codes. */
async function reading<T>(
  url: string,
  name: string,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    if (signal.aborted) throw new EngineError('aborted', 'The download was stopped.', { file: name, cause })
    throw new EngineError('network', `${url} could not be fetched. Check the connection and try again.`, {
      file: name,
      cause,
    })
  }
}

async function* piecesOf(response: Response): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader()
  if (reader === undefined) return
  try {
    for (;;) {
      const { done, value } = await reader.read()
      if (done) return
      yield value
    }
  } finally {
    // Harmless after the end; where the loop was left early it stops the download.
    void reader.cancel().catch(() => {})
  }
}

function integrity(url: string, file: ManifestFile, found: string): EngineError {
  const advice =
    'Nothing was kept. Load again; if it stays, the server holds another file than the manifest describes.'
  return new EngineError(
    'integrity',
    `${url} is not the file that the manifest describes. ${found} ${advice}`,
    { file: file.path },
  )
}

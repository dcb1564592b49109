import type { ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { ChunkAssembler } from './chunk-assembler.ts'
import type { Http, HttpAnswer } from './http.ts'
import { inParallel } from './in-parallel.ts'
import type { ChunkRequest, ModelSource } from './model-source.ts'
import type { RetryPolicy } from './retry.ts'
import { RETRY_POLICY, Retries, TransientFailure } from './retry.ts'
import { encodedPath, readWhole } from './small-file.ts'

/** Chunks that are on their way at once: enough to fill a line, and few enough for the memory. */
const PARALLEL = 3
/** A broken request that brought so much does not count as a failure: the line works, however badly. */
const PROGRESS_BYTES = 2 ** 16

/** A model folder at an address. Files of several chunks come in parallel ranges, where the server has ranges. */
export class HttpSource implements ModelSource {
  readonly address: string
  readonly #http: Http
  readonly #policy: RetryPolicy
  readonly #token: string | undefined
  /** The server has once answered a range with the whole file. */
  #ignoresRanges = false

  /** @param address of the folder, absolute, with a slash at its end. */
  constructor(address: string, http: Http, policy: RetryPolicy = RETRY_POLICY, token?: string) {
    this.address = address
    this.#http = http
    this.#policy = policy
    this.#token = token
  }

  async readText(path: string, signal: AbortSignal): Promise<string> {
    const request = { name: path, signal, cache: 'no-cache', token: this.#token } as const
    const { bytes } = await readWhole(this.#http, this.#url(path), request, this.#policy)
    return new TextDecoder().decode(bytes)
  }

  async *readChunks(request: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { indices } = request
    const inTurn = this.#inTurn(request)
    try {
      // The first chunk shows whether the server has ranges.
      const first = await inTurn.next()
      if (first.done === true) return
      yield first.value
      if (this.#ignoresRanges || indices.length <= 2) return yield* inTurn
    } finally {
      await inTurn.return(undefined)
    }
    yield* inParallel(indices.slice(1), PARALLEL, request.signal, (index, signal) =>
      this.#one({ ...request, signal, indices: [index] }),
    )
  }

  async #one(request: ChunkRequest): Promise<Uint8Array<ArrayBuffer>> {
    for await (const chunk of this.#inTurn(request)) return chunk
    throw new Error('a download ended without its chunk')
  }

  /** One request after the other, each going on where the last one broke. */
  async *#inTurn(request: ChunkRequest): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { file, signal, onBytes } = request
    const assembler = new ChunkAssembler(request)
    const retries = new Retries(this.#policy, signal, ({ message }, waitMs) =>
      request.onRetry(message, waitMs),
    )
    while (!assembler.isDone) {
      const began = assembler.position
      try {
        const { answer, end } = await this.#request(file, assembler, signal)
        let at = answer.from
        for await (const piece of answer.pieces()) {
          if (at + piece.byteLength > file.bytes) throw wrongSize(answer, file, 'more')
          yield* assembler.take(at, piece, onBytes)
          at += piece.byteLength
          if (assembler.isDone) return
        }
        if (at < end) throw tooShort(answer, file, at)
      } catch (error) {
        if (assembler.position - began >= PROGRESS_BYTES) retries.progress()
        await retries.wait(error)
      }
    }
  }

  /** With where in the file the body must not end before. */
  async #request(
    file: ManifestFile,
    { position, chunkEnd }: ChunkAssembler,
    signal: AbortSignal,
  ): Promise<{ readonly answer: HttpAnswer; readonly end: number }> {
    const isAll = position === 0 && chunkEnd === file.bytes
    // `no-store`: the weight store keeps it; a second copy in the HTTP cache would only take room, and could be a bad one.
    const options = { name: file.path, signal, cache: 'no-store' as const, token: this.#token }
    const range = isAll || this.#ignoresRanges ? undefined : ([position, chunkEnd - 1] as const)
    const answer = await this.#http.get(this.#url(file.path), { ...options, range })
    if (range !== undefined && (answer.isWhole || answer.isCompressed)) this.#ignoresRanges = true
    if (answer.totalBytes !== undefined && answer.totalBytes !== file.bytes) {
      answer.close()
      throw wrongSize(answer, file, String(answer.totalBytes))
    }
    if (!answer.isWhole && answer.isCompressed) {
      answer.close()
      throw new TransientFailure(wrongSize(answer, file, 'a part of something compressed'))
    }
    return { answer, end: answer.isWhole ? file.bytes : chunkEnd }
  }

  #url(path: string): string {
    return new URL(encodedPath(path), this.address).href
  }
}

function tooShort(answer: HttpAnswer, file: ManifestFile, at: number): Error {
  const verdict = wrongSize(answer, file, `only ${at}`)
  // The server sent all that it had announced: it has no more.
  return answer.isWhole && answer.claimedBytes === at ? verdict : new TransientFailure(verdict)
}

function wrongSize({ url }: HttpAnswer, { path, bytes }: ManifestFile, found: string): EngineError {
  const advice =
    'Nothing was kept. Load again; if it stays, the server holds another file than the manifest describes.'
  return new EngineError(
    'integrity',
    `${url} is not the file that the manifest describes. The manifest promises ${bytes} bytes and ${found} came. ${advice}`,
    { file: path },
  )
}

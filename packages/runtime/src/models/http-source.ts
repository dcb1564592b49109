import type { ManifestFile } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import { chunkLength } from '../storage/file-journal.ts'
import type { FileRange } from './chunk-assembler.ts'
import { ChunkAssembler } from './chunk-assembler.ts'
import { FileVersion } from './file-version.ts'
import type { Http, HttpAnswer } from './http.ts'
import { inParallel } from './in-parallel.ts'
import type { ChunkRequest, ModelSource } from './model-source.ts'
import type { RetryPolicy } from './retry.ts'
import { RETRY_POLICY, Retries, TransientFailure } from './retry.ts'
import { encodedPath, readWhole } from './small-file.ts'

/** Requests for one chunk at once: enough to fill a line. */
const PARALLEL = 4
/** A part smaller than this is not worth a request. */
const MIN_PART_BYTES = 2 ** 14
/** A broken request that brought so much does not count as a failure: the line works, however badly. */
const PROGRESS_BYTES = 2 ** 16

/**
 * A model folder at an address. Chunks come one after the other, so that a cut costs one at most; each comes in parallel ranges, where the
 * server has ranges.
 */
export class HttpSource implements ModelSource {
  readonly address: string
  readonly origin = 'network'
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
    const chunks = request.indices.map((index) => chunkRange(request, index))
    const version = new FileVersion()
    const inTurn = this.#inTurn(request, chunks, version)
    try {
      // The first chunk shows whether the server has ranges.
      const first = await inTurn.next()
      if (first.done === true) return
      yield first.value
      if (this.#ignoresRanges) return yield* inTurn
    } finally {
      await inTurn.return(undefined)
    }
    for (let at = 1; at < chunks.length; at++) {
      if (this.#ignoresRanges) return yield* this.#inTurn(request, chunks.slice(at), version)
      yield await this.#inParts(request, chunks[at] as FileRange, version)
    }
  }

  /** One chunk by several requests at once, which write into it. */
  async #inParts(
    request: ChunkRequest,
    chunk: FileRange,
    version: FileVersion,
  ): Promise<Uint8Array<ArrayBuffer>> {
    const bytes = new Uint8Array(chunk.numBytes)
    const parts = partsOf(chunk.from, bytes)
    const fill = async (part: FileRange, signal: AbortSignal) => {
      for await (const _ of this.#inTurn({ ...request, signal }, [part], version)); // it writes into `bytes`
    }
    for await (const _ of inParallel(parts, parts.length, request.signal, fill)); // in order, the first failure ends all
    return bytes
  }

  /** One request after the other, each going on where the last one broke. */
  async *#inTurn(
    request: Omit<ChunkRequest, 'indices'>,
    ranges: readonly FileRange[],
    version: FileVersion,
  ): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const { file, signal, onBytes } = request
    const assembler = new ChunkAssembler(ranges)
    const retries = new Retries(this.#policy, signal, ({ message }, waitMs) =>
      request.onRetry(message, waitMs),
    )
    while (!assembler.isDone) {
      const began = assembler.position
      try {
        const { answer, end } = await this.#request(file, assembler, signal, version)
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
    { position, rangeEnd }: ChunkAssembler,
    signal: AbortSignal,
    version: FileVersion,
  ): Promise<{ readonly answer: HttpAnswer; readonly end: number }> {
    const isAll = position === 0 && rangeEnd === file.bytes
    // `no-store`: the weight store keeps it; a second copy in the HTTP cache would only take room, and could be a bad one.
    const options = { name: file.path, signal, cache: 'no-store' as const, token: this.#token }
    const range = isAll || this.#ignoresRanges ? undefined : ([position, rangeEnd - 1] as const)
    const ifRange = range === undefined ? undefined : version.condition
    const answer = await this.#http.get(this.#url(file.path), { ...options, range, ifRange })
    if (!version.admits(answer.validator)) {
      answer.close()
      throw changedOnServer(answer, file)
    }
    if (range !== undefined && (answer.isWhole || answer.isCompressed)) this.#ignoresRanges = true
    if (answer.totalBytes !== undefined && answer.totalBytes !== file.bytes) {
      answer.close()
      throw wrongSize(answer, file, String(answer.totalBytes))
    }
    if (!answer.isWhole && answer.isCompressed) {
      answer.close()
      throw new TransientFailure(wrongSize(answer, file, 'a part of something compressed'))
    }
    return { answer, end: answer.isWhole ? file.bytes : rangeEnd }
  }

  #url(path: string): string {
    return new URL(encodedPath(path), this.address).href
  }
}

function chunkRange({ file, chunkBytes }: ChunkRequest, index: number): FileRange {
  const { bytes } = file
  return { from: index * chunkBytes, numBytes: chunkLength({ bytes, chunkBytes }, index) }
}

function partsOf(from: number, bytes: Uint8Array<ArrayBuffer>): FileRange[] {
  const partBytes = Math.max(MIN_PART_BYTES, Math.ceil(bytes.byteLength / PARALLEL))
  return Array.from({ length: Math.ceil(bytes.byteLength / partBytes) }, (_, index) => {
    const into = bytes.subarray(index * partBytes, (index + 1) * partBytes)
    return { from: from + index * partBytes, numBytes: into.byteLength, into }
  })
}

function changedOnServer({ url }: HttpAnswer, { path }: ManifestFile): EngineError {
  const message = `${url} changed on the server while it was downloaded, so its parts do not belong together. Nothing was kept. Load again.`
  return new EngineError('integrity', message, { file: path })
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

import { createSHA1, createSHA256 } from 'hash-wasm'
import type { Breath } from '../breath.ts'
import { createBreath } from '../breath.ts'

/** About 5 ms: a worker that serves meanwhile must not wait longer between two steps. */
const SLICE_BYTES = 2 ** 20

/** What takes bytes one piece after the other. */
export interface StreamingHash {
  update(bytes: Uint8Array): void
  /** Of all that came. */
  hex(): string
}

/** SHA-256 of bytes that come in pieces; the browser's own takes them only at once. */
export async function streamingSha256(): Promise<StreamingHash> {
  const hash = await createSHA256()
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.digest('hex'),
  }
}

/** Feeds a hash in slices, between which messages are served. */
export async function hashGently(hash: StreamingHash, bytes: Uint8Array, breath: Breath): Promise<void> {
  for (let from = 0; from < bytes.byteLength; from += SLICE_BYTES) {
    if (from > 0) await breath.take()
    hash.update(bytes.subarray(from, from + SLICE_BYTES))
  }
}

/** SHA-256 of bytes that are all there. The browser's own is four times as fast, but only in secure contexts. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle !== undefined) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
  }
  const [hash, breath] = [await streamingSha256(), createBreath()]
  await hashGently(hash, bytes, breath).finally(() => breath.dispose())
  return hash.hex()
}

/** The id that git, and so a hub's listing, gives a file that lies in the repository itself: a SHA-1. */
export async function gitBlobId(bytes: Uint8Array): Promise<string> {
  const hash = await createSHA1()
  hash.update(`blob ${bytes.byteLength}\0`)
  hash.update(bytes)
  return hash.digest('hex')
}

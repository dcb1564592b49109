import { createSHA1, createSHA256 } from 'hash-wasm'

/** SHA-256 of bytes that come in pieces; the browser's own takes them only at once. */
export async function streamingSha256(): Promise<{ update(bytes: Uint8Array): void; hex(): string }> {
  const hash = await createSHA256()
  return {
    update: (bytes) => void hash.update(bytes),
    hex: () => hash.digest('hex'),
  }
}

/** SHA-256 of bytes that are all there. The browser's own is four times as fast, but only in secure contexts. */
export async function sha256Of(bytes: Uint8Array<ArrayBuffer>): Promise<string> {
  if (globalThis.crypto?.subtle !== undefined) {
    const digest = new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
    return Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join('')
  }
  const hash = await streamingSha256()
  hash.update(bytes)
  return hash.hex()
}

/** The id that git, and so a hub's listing, gives a file that lies in the repository itself: a SHA-1. */
export async function gitBlobId(bytes: Uint8Array): Promise<string> {
  const hash = await createSHA1()
  hash.update(`blob ${bytes.byteLength}\0`)
  hash.update(bytes)
  return hash.digest('hex')
}

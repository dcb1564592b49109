import { stat } from 'node:fs/promises'
import { resolve } from 'node:path'
import { UsageError } from '@tabserve/convert'
import { serve } from '@tabserve/dev/serve'

export interface ServeFolderOptions {
  readonly root: string
  readonly port: number
  readonly isolated: boolean
  /** Whether pages of other origins may fetch and embed what is served. */
  readonly cors: boolean
}

export const CORS = { 'access-control-allow-origin': '*', 'cross-origin-resource-policy': 'cross-origin' }

/** Serves a folder until the process is told to end. */
export async function serveFolder({ root, port, isolated, cors }: ServeFolderOptions): Promise<void> {
  const folder = resolve(root)
  const found = await stat(folder).catch(() => undefined)
  if (found?.isDirectory() !== true) throw new UsageError(`${folder} is not a folder`)
  const server = await serve({ root: folder, port, isolated, ...(cors ? { headers: CORS } : {}) })
  console.log(`${folder}: ${server.url}${isolated ? '' : ' (not isolated: one thread)'}`)
  await ended()
  await server.close()
}

/** Resolves when the process is told to end. */
export function ended(): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })
}

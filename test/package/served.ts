import { createHash } from 'node:crypto'
import { readFile, readdir } from 'node:fs/promises'
import { join } from 'node:path'
import type { Page } from 'playwright/test'
import { serve } from '../../packages/dev/src/serve.ts'
import type { ServeOptions, StaticServer } from '../../packages/dev/src/serve.ts'

/** A server that knows what was fetched from it. */
export interface Served extends StaticServer {
  /** Each path that was asked for, once, without its query. */
  readonly fetched: Set<string>
}

export async function served(options: Omit<ServeOptions, 'port' | 'onRequest'>): Promise<Served> {
  const fetched = new Set<string>()
  const onRequest = (_method: string, path: string) => void fetched.add(path.split('?', 1)[0] ?? path)
  const server = await serve({ ...options, port: 0, onRequest })
  return { ...server, fetched }
}

/** The package's files, told by what is in them: bundlers give them other names. */
export class KnownFiles {
  readonly #names: ReadonlyMap<string, string>

  /** @param folder `assets/` of the package. */
  static async read(folder: string): Promise<KnownFiles> {
    const names = (await readdir(folder)).filter((name) => /\.(js|mjs|wasm)$/.test(name))
    const hashed = names.map(async (name) => [await hash(join(folder, name)), name] as const)
    return new KnownFiles(new Map(await Promise.all(hashed)))
  }

  private constructor(names: ReadonlyMap<string, string>) {
    this.#names = names
  }

  /** Which of them were fetched from a folder, sorted. */
  async among(root: string, { fetched }: Served): Promise<string[]> {
    const found = [...fetched].map(async (path) => {
      const known = await hash(join(root, path)).catch(() => '') // a folder, or nothing there
      return this.#names.get(known)
    })
    return (await Promise.all(found)).filter((name) => name !== undefined).sort()
  }
}

async function hash(path: string): Promise<string> {
  return createHash('sha256')
    .update(await readFile(path))
    .digest('hex')
}

export interface Answer {
  readonly text: string
  readonly runner: string
  readonly threads: number
}

export interface Asked {
  readonly threads?: number
  readonly runner?: 'kernels' | 'heap'
  readonly structured?: boolean
}

/** Loads the model beside the page and lets it go on with a story, greedily. */
export function generate(page: Page, asked: Asked = {}): Promise<Answer> {
  return page.evaluate(async ({ threads, runner, structured }) => {
    const client = await window.tabserve.createClient(threads === undefined ? {} : { threads })
    try {
      const model = new URL('/model/', location.href).href
      const info = await client.load(model, runner === undefined ? {} : { runner })
      const { text } = await client.generate({
        model: info.id,
        prompt: 'Once upon a time',
        temperature: 0,
        maxTokens: 12,
        ...(structured === true ? { structuredOutputs: { choice: [' there was a cat'] } } : {}),
      })
      return { text, runner: info.runner, threads: info.threads }
    } finally {
      client.dispose()
    }
  }, asked)
}

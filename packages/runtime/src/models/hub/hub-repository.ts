import type { HubModel, HubOrigin, Manifest, ManifestFile } from '@tabserve/protocol'
import { EngineError, hubAddress } from '@tabserve/protocol'
import { MANIFEST, idOf, parseManifest } from '../manifest-text.ts'
import { sha256Of } from '../sha256.ts'
import type { Json } from './decoder-config.ts'
import type { ChosenWeights } from './dtype-choice.ts'
import { chooseWeights, filesOf } from './dtype-choice.ts'
import { hubManifest, identityOf, inferManifest, ownManifest, parsed } from './hub-manifest.ts'
import type { HubFile, Listing } from './listing.ts'
import { provisionalId } from './provisional-id.ts'
import type { RepositoryTask } from './repository-task.ts'
import { repositoryTask } from './repository-task.ts'
import { CHAT_TEMPLATE, TOKENIZER, TOKENIZER_CONFIG } from './tokenizer-spec.ts'

/** What a load would bring. */
export interface HubPreview {
  readonly id: string
  readonly files: readonly { readonly bytes: number; readonly sha256?: string }[]
  readonly source: HubOrigin
}

/** Files of text that a runner needs, where they are there. */
const TEXTS = [TOKENIZER, TOKENIZER_CONFIG, CHAT_TEMPLATE] as const

const CONFIG = 'config.json'
const GENERATION_CONFIG = 'generation_config.json'
const POOLING = '1_Pooling/config.json'
/** What a handler reads, where it is there. */
const HANDLER_TEXTS = [
  TOKENIZER,
  TOKENIZER_CONFIG,
  CONFIG,
  GENERATION_CONFIG,
  POOLING,
  'preprocessor_config.json',
] as const

/** One revision of a repository, read as a model. */
export class HubRepository {
  /** Small files that were read on the way, by path: they need not be fetched again. */
  readonly read = new Map<string, Uint8Array<ArrayBuffer>>()
  /** Files of which nobody says a hash; the manifest has a provisional id in its place. */
  readonly unproven = new Map<string, HubFile>()
  readonly #listing: Listing
  readonly #model: HubModel
  readonly #address: string

  constructor(listing: Listing, model: HubModel) {
    this.#listing = listing
    this.#model = model
    this.#address = hubAddress(model)
  }

  get folder(): string {
    return this.#listing.folder
  }

  get commit(): string | undefined {
    return this.#listing.commit
  }

  find(path: string): Promise<HubFile | undefined> {
    return this.#listing.find(path)
  }

  /** Sizes and dtypes, for as few requests as they take. Throws as `manifest` does. */
  async preview(): Promise<HubPreview> {
    const own = await this.#own()
    if (own !== undefined) {
      const manifest = parseManifest(JSON.stringify(own), this.#address)
      return { id: idOf(manifest), files: manifest.files, source: own.source }
    }
    const task = await this.#task(await this.#json(CONFIG, false))
    const weights = await this.#weights(task)
    const source = this.#origin(weights)
    const paths = task.task === 'generate' ? TEXTS : HANDLER_TEXTS
    const texts = await Promise.all(paths.map((path) => this.#listing.find(path)))
    const files = [...filesOf(weights), ...texts.filter((file) => file !== undefined)]
    const { name, version } = identityOf(source, weights.dtype)
    return { id: `${name}@${version}`, files: files.map(identity), source }
  }

  /** Its own manifest or one made from its files. Throws `bad_model`, `model_not_found`, and as requests do. */
  async manifest(): Promise<Manifest> {
    return (await this.#own()) ?? (await this.#made())
  }

  async #own(): Promise<(Manifest & { readonly source: HubOrigin }) | undefined> {
    const { paths } = this.#listing
    if (paths !== undefined && !paths.includes(MANIFEST)) return undefined
    const value = ownManifest(await this.#listing.read(MANIFEST), this.#model, this.#address)
    if (value === undefined) return undefined
    // Checked by whoever reads the text of it.
    return { ...(value as unknown as Manifest), source: { ...this.#origin(), trust: 'manifest' } }
  }

  async #made(): Promise<Manifest> {
    await this.#keep(CONFIG)
    const task = await this.#task(await this.#json(CONFIG, false))
    const weights = await this.#weights(task)
    const config = await this.#json(CONFIG, true)
    return task.task === 'generate' ? this.#decoder(weights, config) : this.#oneShot(weights, task)
  }

  async #decoder(weights: ChosenWeights, config: Json): Promise<Manifest> {
    const [generationConfig] = await Promise.all([
      this.#json(GENERATION_CONFIG, false),
      ...TEXTS.map((path) => this.#keep(path)),
    ])
    const texts = {
      config,
      generationConfig,
      tokenizer: await this.#json(TOKENIZER, true),
      tokenizerConfig: await this.#json(TOKENIZER_CONFIG, true),
    }
    const files = await this.#files(weights, TEXTS)
    const hasChatTemplate = this.read.has(CHAT_TEMPLATE)
    const source = this.#origin(weights)
    return hubManifest({ address: this.#address, source, weights, texts, hasChatTemplate, files })
  }

  /** For a handler, which reads the files itself. */
  async #oneShot(
    weights: ChosenWeights,
    { handler }: Extract<RepositoryTask, { task: 'infer' }>,
  ): Promise<Manifest> {
    await Promise.all(HANDLER_TEXTS.map((path) => this.#keep(path)))
    const files = await this.#files(weights, HANDLER_TEXTS)
    return inferManifest(this.#origin(weights), weights, handler, files)
  }

  async #task(config: Json): Promise<RepositoryTask> {
    const task = repositoryTask(config, false)
    if (task.task === 'generate' || task.handler !== undefined) return task
    return repositoryTask(config, (await this.#listing.find(POOLING)) !== undefined)
  }

  async #files(weights: ChosenWeights, texts: readonly string[]): Promise<ManifestFile[]> {
    const files: ManifestFile[] = []
    for (const file of filesOf(weights)) files.push(await this.#identify(file))
    for (const path of texts) {
      const bytes = this.read.get(path)
      if (bytes !== undefined) files.push(await hashed(path, bytes))
    }
    return files
  }

  #weights(task: RepositoryTask): Promise<ChosenWeights> {
    const names = task.task === 'infer' ? task.graphs : undefined
    return chooseWeights(this.#listing, this.#model.dtype, this.#address, names)
  }

  async #json(path: string, isNeeded: boolean) {
    const bytes = this.read.get(path) ?? (await this.#listing.read(path))
    if (bytes === undefined && isNeeded) throw this.#missing(path)
    return parsed(bytes, path, this.#address)
  }

  async #keep(path: string): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const bytes = await this.#listing.read(path)
    if (bytes !== undefined) this.read.set(path, bytes)
    return bytes
  }

  /** A file as the manifest lists it. Of one that lies in git its SHA-256 must be computed; it is small. */
  async #identify(file: HubFile): Promise<ManifestFile> {
    const { path, bytes, hash } = file
    if (hash !== undefined && 'sha256' in hash) return { path, bytes, sha256: hash.sha256 }
    if (hash === undefined) {
      this.unproven.set(path, file)
      return { path, bytes, sha256: await provisionalId(this.folder, file) }
    }
    const content = await this.#keep(path)
    if (content === undefined) throw this.#missing(path)
    return hashed(path, content)
  }

  #origin(weights?: ChosenWeights): HubOrigin {
    const { hub, revision, baseUrl } = this.#model
    const { folder, commit } = this.#listing
    return {
      hub,
      revision,
      baseUrl,
      folder,
      ...(commit === undefined ? {} : { commit }),
      ...(weights === undefined ? {} : { dtype: weights.dtype, dtypeReason: weights.reason }),
      choices: weights?.choices ?? [],
      trust: commit === undefined ? 'first-use' : 'hub',
    }
  }

  #missing(path: string): EngineError {
    const message = `${this.#address} has no ${path}, without which its model cannot be run. Choose a repository made for transformers.js.`
    return new EngineError('model_not_found', message, { file: path })
  }
}

async function hashed(path: string, bytes: Uint8Array<ArrayBuffer>): Promise<ManifestFile> {
  return { path, bytes: bytes.byteLength, sha256: await sha256Of(bytes) }
}

function identity({ bytes, hash }: HubFile): HubPreview['files'][number] {
  return hash !== undefined && 'sha256' in hash ? { bytes, sha256: hash.sha256 } : { bytes }
}

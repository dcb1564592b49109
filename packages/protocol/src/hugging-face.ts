import { EngineError } from './error.ts'

/** How a repository's weights are stored, in transformers.js' words. */
export type HubDtype = 'fp32' | 'fp16' | 'q8' | 'int8' | 'uint8' | 'q4' | 'q4f16' | 'bnb4'

/** What each dtype is called in a file's name, as transformers.js and optimum write it: `onnx/model{suffix}.onnx`. */
export const DTYPE_SUFFIXES: Readonly<Record<HubDtype, string>> = {
  fp32: '',
  fp16: '_fp16',
  q8: '_quantized',
  int8: '_int8',
  uint8: '_uint8',
  q4: '_q4',
  q4f16: '_q4f16',
  bnb4: '_bnb4',
}

/** Where repositories come from by default. */
export const HUGGING_FACE = 'https://huggingface.co/'

/** A repository of the Hugging Face hub, or of a mirror or a folder that is laid out like it. */
export interface HubSourceRequest {
  /** `namespace/name`, e.g. `onnx-community/SmolLM2-135M-Instruct-ONNX`. */
  readonly hub: string
  /** A branch, a tag or a commit. Default `main`. */
  readonly revision?: string
  /** Which of the repository's weights. Default `auto`: the ones that run best on this device. */
  readonly dtype?: HubDtype | 'auto'
  /** Absolute address that repositories lie under, with a slash at its end. Default `https://huggingface.co/`. */
  readonly baseUrl?: string
  /** For private and gated repositories: sent to `baseUrl` and nowhere else, kept nowhere. */
  readonly token?: string
}

/** A repository without the secret. */
export type HubModel = Required<Omit<HubSourceRequest, 'token'>>

/** Of a manifest that came from a repository: what exactly it is of. */
export interface HubOrigin {
  readonly hub: string
  readonly revision: string
  readonly baseUrl: string
  /** The commit that the revision was, and that every file is of. Absent: there is no API that says it. */
  readonly commit?: string
  /** Where the files lie, with a slash at its end. */
  readonly folder: string
  /** Absent: the repository holds a model folder of tabserve, which comes in one form. */
  readonly dtype?: HubDtype
  /** Why this dtype. */
  readonly dtypeReason?: string
  /** The dtypes that are there, as far as it is known, and the bytes of each one's weights. */
  readonly choices: readonly HubChoice[]
  /**
   * What the hashes were compared with. `hub`: with those that the hub's API lists. `manifest`: with those of the model folder's own `manifest.json`.
   * `first-use`: nobody says any; they were written down when the files first came, and later downloads are held against them.
   */
  readonly trust: 'hub' | 'manifest' | 'first-use'
}

/** A dtype that a repository has, and how large it is. */
export interface HubChoice {
  readonly dtype: HubDtype
  readonly bytes: number
}

/**
 * What a repository is called where models have addresses: `hf://namespace/name@revision:dtype/`, or `hf+https://mirror.example/…` for another
 * base. Without its dtype where that is `auto`.
 */
export function hubAddress({
  hub,
  revision = 'main',
  dtype = 'auto',
  baseUrl = HUGGING_FACE,
}: Omit<HubSourceRequest, 'token'>): string {
  const base = baseUrl === HUGGING_FACE ? 'hf://' : `hf+${baseUrl}`
  return `${base}${hub}@${encodeURIComponent(revision)}${dtype === 'auto' ? '' : `:${dtype}`}/`
}

const ADDRESS =
  /^hf(?:\+(?<base>https?:\/\/.*\/)|:\/\/)(?<hub>[^/@:]+\/[^/@:]+)(?:@(?<revision>[^/@:]+))?(?::(?<dtype>\w+))?\/?$/

/** Whether an address is of a repository: `hf://…`, `hf+https://…`. */
export function isHubAddress(address: string): boolean {
  return /^hf(:|\+https?:)/.test(address)
}

/** The inverse of `hubAddress`; revision and dtype may be missing. Throws `bad_request`. */
export function parseHubAddress(address: string): HubModel {
  const {
    base = HUGGING_FACE,
    hub = '',
    revision = 'main',
    dtype = 'auto',
  } = ADDRESS.exec(address)?.groups ?? {}
  const advice = 'It is hf://namespace/name, then @revision and :dtype where wanted.'
  if (hub === '')
    throw new EngineError('bad_request', `${address} is not the address of a repository. ${advice}`)
  return checkedHub({ hub, revision: decoded(revision), dtype: dtype as HubDtype, baseUrl: base })
}

/** Fills in what is not said. Throws `bad_request` for what can be no repository. */
export function checkedHub(request: Omit<HubSourceRequest, 'token'>): HubModel {
  const { hub, revision = 'main', dtype = 'auto', baseUrl = HUGGING_FACE } = request
  const problem =
    (/^[\w-][\w.-]*\/[\w-][\w.-]*$/.test(hub) ? undefined : 'hub must be `namespace/name`') ??
    (isRevision(revision) ? undefined : 'revision must be a branch, a tag or a commit') ??
    (dtype === 'auto' || Object.hasOwn(DTYPE_SUFFIXES, dtype)
      ? undefined
      : `dtype must be one of: auto, ${Object.keys(DTYPE_SUFFIXES).join(', ')}`) ??
    baseProblem(baseUrl)
  if (problem === undefined) return { hub, revision, dtype, baseUrl }
  throw new EngineError('bad_request', `Not a repository: ${problem}.`)
}

function isRevision(revision: unknown): boolean {
  return typeof revision === 'string' && revision.split('/').every((part) => /^[\w.-]*\w[\w.-]*$/.test(part))
}

/** The address is not repeated: it may hold a password. */
function baseProblem(baseUrl: unknown): string | undefined {
  if (typeof baseUrl !== 'string' || !URL.canParse(baseUrl)) return 'baseUrl must be an absolute address'
  const { protocol, username, password, search, hash } = new URL(baseUrl)
  if (protocol !== 'https:' && protocol !== 'http:') return 'baseUrl must be http or https'
  if (username !== '' || password !== '') return 'baseUrl must hold no password; use `token`'
  if (search !== '' || hash !== '' || !baseUrl.endsWith('/')) return 'baseUrl must end with a slash'
  return undefined
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    return '' // which is no revision
  }
}

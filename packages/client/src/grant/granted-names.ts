import type { GrantedModel, ModelInfo } from '@tabserve/protocol'
import { EngineError } from '@tabserve/protocol'
import type { ControlPlane } from '../control/control-plane.ts'

/** Which names a grant's holder may use: an alias or `name@version` that it was granted, or any version of a model that it was. */
export class GrantedNames {
  readonly #control: ControlPlane
  readonly #names: ReadonlySet<string>

  /** Throws `bad_request`. */
  constructor(control: ControlPlane, names: readonly string[]) {
    if (!Array.isArray(names) || names.length === 0 || !names.every((name) => typeof name === 'string'))
      throw new EngineError('bad_request', 'grant needs models: a list of the names of one or more.')
    this.#control = control
    this.#names = new Set(names)
  }

  /** Throws `not_allowed`, also for a model that is not there: the holder is not to learn what else there is. */
  check(name: unknown): void {
    if (typeof name === 'string' && this.#covers(name)) return
    const granted = [...this.#names].join(', ')
    throw new EngineError('not_allowed', `The grant does not cover ${String(name)}. It covers: ${granted}.`)
  }

  /** What of it can be asked now. */
  list(loaded: readonly ModelInfo[]): GrantedModel[] {
    const models = loaded.filter(({ id }) => this.#covers(id)).map(({ id, ...info }) => granted(id, [info]))
    const aliases = [...this.#control.aliases()].filter(([name]) => this.#names.has(name))
    return [
      ...models,
      ...aliases.flatMap(([name, { traffic }]) => {
        const versions = loaded.filter(({ id }) => (traffic[id] ?? 0) > 0)
        return versions.length === 0 ? [] : [granted(name, versions)]
      }),
    ]
  }

  #covers(name: string): boolean {
    const id = this.#control.directory.resolve(name)
    const [model = ''] = id.split('@')
    return [name, id, model].some((each) => this.#names.has(each))
  }
}

type Shown = Pick<ModelInfo, 'contextLength' | 'hasChatTemplate'>

function granted(id: string, versions: readonly Shown[]): GrantedModel {
  return {
    id,
    contextLength: Math.min(...versions.map(({ contextLength }) => contextLength)),
    hasChatTemplate: versions.every(({ hasChatTemplate }) => hasChatTemplate),
  }
}

import type { ModelInfo } from './api.ts'
import { EngineError } from './error.ts'

/** A loaded model by `name@version`, or by `name` where only one version is loaded. Throws `model_not_loaded`. */
export function findModel<Model extends { readonly info: ModelInfo }>(
  models: ReadonlyMap<string, Model>,
  id: string,
): Model {
  const exact = models.get(id)
  if (exact !== undefined) return exact
  const named = [...models.values()].filter(({ info }) => info.manifest.name === id)
  if (named.length === 1 && named[0] !== undefined) return named[0]
  const loaded = [...models.keys()].join(', ') || 'none'
  const problem =
    named.length > 1
      ? `${id} is loaded in several versions: say which`
      : `${String(id)} is not loaded: load it first`
  throw new EngineError('model_not_loaded', `${problem}. Loaded: ${loaded}.`)
}

import type { EmbeddingModelV4, LanguageModelV4, ProviderV4 } from '@ai-sdk/provider'
import { EngineError } from '@tabserve/protocol'
import type { ServedClient } from '../served-client.ts'
import { TabserveEmbeddingModel } from './embedding-model.ts'
import { TabserveLanguageModel } from './language-model.ts'

/** A provider for the Vercel AI SDK: `generateText({ model: tabserve('stories@2'), … })`. */
export interface TabserveProvider extends ProviderV4 {
  /** A loaded model, by `name@version` or by a name that is loaded in one version. */
  (model: string): LanguageModelV4
  /** A loaded model with the handler `embed`. */
  embeddingModel(model: string): EmbeddingModelV4
}

/** Other kinds of models are refused with `unsupported_parameter`. */
export function createTabserve(client: Pick<ServedClient, 'generate' | 'embed'>): TabserveProvider {
  const languageModel = (model: string) => new TabserveLanguageModel(client, model)
  return Object.assign(languageModel, {
    specificationVersion: 'v4' as const,
    languageModel,
    embeddingModel: (model: string) => new TabserveEmbeddingModel(client, model),
    imageModel: () => refuse('images'),
  })
}

function refuse(what: string): never {
  throw new EngineError('unsupported_parameter', `tabserve computes no ${what} yet.`, { param: 'model' })
}

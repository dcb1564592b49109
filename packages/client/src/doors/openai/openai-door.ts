import type { ServedClient } from '../served-client.ts'
import { ChatCompletions } from './chat-completions.ts'
import { Completions } from './completions.ts'
import { Embeddings } from './embeddings.ts'
import { LoadedModels } from './models.ts'
import { Responses } from './responses.ts'

/** A client in OpenAI's words: the same methods, requests, answers and chunks. Rejects with `EngineError`. */
export class OpenAIDoor {
  readonly chat: { readonly completions: ChatCompletions }
  readonly completions: Completions
  readonly responses: Responses
  readonly embeddings: Embeddings
  readonly models: LoadedModels

  constructor(client: ServedClient) {
    this.chat = { completions: new ChatCompletions(client) }
    this.completions = new Completions(client)
    this.responses = new Responses(client)
    this.embeddings = new Embeddings(client)
    this.models = new LoadedModels(client)
  }
}

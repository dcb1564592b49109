/**
 * The names of OpenTelemetry's GenAI conventions that we use, as of semantic-conventions v1.41.0 (status: Development). They change: whoever moves
 * to a newer version changes this file only. https://github.com/open-telemetry/semantic-conventions-genai
 */
export const SCHEMA_URL = 'https://opentelemetry.io/schemas/1.41.0'

export const ATTRIBUTE = {
  operation: 'gen_ai.operation.name',
  provider: 'gen_ai.provider.name',
  requestModel: 'gen_ai.request.model',
  responseModel: 'gen_ai.response.model',
  responseId: 'gen_ai.response.id',
  finishReasons: 'gen_ai.response.finish_reasons',
  maxTokens: 'gen_ai.request.max_tokens',
  temperature: 'gen_ai.request.temperature',
  topP: 'gen_ai.request.top_p',
  topK: 'gen_ai.request.top_k',
  seed: 'gen_ai.request.seed',
  choiceCount: 'gen_ai.request.choice.count',
  stop: 'gen_ai.request.stop_sequences',
  frequencyPenalty: 'gen_ai.request.frequency_penalty',
  presencePenalty: 'gen_ai.request.presence_penalty',
  stream: 'gen_ai.request.stream',
  inputTokens: 'gen_ai.usage.input_tokens',
  outputTokens: 'gen_ai.usage.output_tokens',
  cachedTokens: 'gen_ai.usage.cache_read.input_tokens',
  firstChunk: 'gen_ai.response.time_to_first_chunk',
  tokenType: 'gen_ai.token.type',
  outputType: 'gen_ai.output.type',
  inputMessages: 'gen_ai.input.messages',
  outputMessages: 'gen_ai.output.messages',
  errorType: 'error.type',
  serverAddress: 'server.address',
  // Ours: the conventions have nothing for them.
  modelVersion: 'tabserve.model.version',
  alias: 'tabserve.route.alias',
  priority: 'tabserve.priority',
  preemptions: 'tabserve.preemptions',
  draftTokens: 'tabserve.draft_tokens',
  acceptedTokens: 'tabserve.accepted_tokens',
  batchSize: 'tabserve.batch_size',
  isCached: 'tabserve.response.cached',
} as const

/** The conventions' name of an operation, for a task that has one; others are called as the task is. */
export const OPERATIONS: Readonly<Record<string, string>> = { embed: 'embeddings' }

export const METRIC = {
  operationDuration: 'gen_ai.client.operation.duration',
  tokenUsage: 'gen_ai.client.token.usage',
  firstChunk: 'gen_ai.client.operation.time_to_first_chunk',
  chunk: 'gen_ai.client.operation.time_per_output_chunk',
  requestDuration: 'gen_ai.server.request.duration',
  tokenTime: 'gen_ai.server.time_per_output_token',
  firstToken: 'gen_ai.server.time_to_first_token',
} as const

/** Bounds of buckets that the conventions give. Seconds, and tokens. */
export const BUCKETS = {
  duration: [0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92],
  tokens: Array.from({ length: 14 }, (_, power) => 4 ** power),
  tokenTime: [0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5],
  firstToken: [0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10],
} as const
